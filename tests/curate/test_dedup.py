"""Exact and near duplicates are dropped; the reason names the kept row and the similarity."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest

from z1.curate.dedup import ExactDedup, MinHashDedup
from z1.curate.plan import DuplicateSettings
from z1.curate.sources import Candidate
from z1.errors import UserError

WORDS = [f"w{n}" for n in range(400)]


def text(changed: int = 0, first: int = 0) -> str:
    """300 words, `changed` of them repositiond at equal distances."""
    chosen = WORDS[first : first + 300]
    for position in range(0, 300, 300 // changed if changed else 301):
        chosen[position] = f"x{position}"
    return " ".join(chosen)


def similarity(a: str, b: str, size: int) -> float:
    """The exact Jaccard similarity of word n-grams."""
    first, second = ({tuple(x.split()[n : n + size]) for n in range(len(x.split()) - size + 1)} for x in (a, b))
    return len(first & second) / len(first | second)


def minhash(**settings: object) -> MinHashDedup:
    return MinHashDedup(DuplicateSettings.model_validate({"min_similarity": 0.8, **settings}), seed=7)


def row(name: str, response: str, question: str = "Q", problem: str = "") -> Candidate:
    return Candidate(name, problem or name, question, response)


def test_a_stored_signature_equals_a_new_one() -> None:
    pytest.importorskip("datasketch")
    kept, new = minhash(), minhash()
    for name, changed in (("a", 0), ("b", 3), ("c", 40)):
        candidate = row(name, text(changed))
        assert kept.drop_reason(
            replace(candidate, response="", minhash=new.packed_signature(candidate))
        ) == new.drop_reason(candidate)


def test_the_drop_reason_names_the_most_similar_kept_row() -> None:
    dedup = minhash(shingle_size=3)
    assert dedup.drop_reason(row("far", text(first=100))) == ""
    assert dedup.drop_reason(row("a", text())) == ""
    assert similarity(text(), text(changed=4), 3) > 0.9
    assert dedup.drop_reason(row("b", text(changed=4))).startswith("near duplicate: of a, similarity 0.9")
    assert dedup.drop_reason(row("again", text().upper() + "!")) == "near duplicate: of a, similarity 1.00"
    assert dedup.drop_reason(row("other", text(changed=60))) == ""
    assert dedup.drop_reason(row("c", text(changed=60) + " y")).startswith("near duplicate: of other")


def test_the_estimate_is_close_to_the_exact_similarity() -> None:
    for changed in (3, 10, 20):
        dedup = minhash(min_similarity=0.2, permutations=512, shingle_size=5)
        dedup.drop_reason(row("a", text(), question=""))
        found = re.search(r"similarity ([\d.]+)", dedup.drop_reason(row("b", text(changed), question="")))
        assert found and float(found[1]) == pytest.approx(similarity(text(), text(changed), 5), abs=0.08)


def test_the_threshold_the_shingle_and_the_seed_decide() -> None:
    def found(seed: int = 7, **settings: object) -> list[str]:
        dedup = MinHashDedup(DuplicateSettings.model_validate({"min_similarity": 0.7, **settings}), seed)
        return [dedup.drop_reason(row(str(n), text(changed=n))) for n in range(1, 16)]

    assert found() == found()
    assert sum(map(bool, found(min_similarity=0.5))) > sum(map(bool, found(min_similarity=0.95)))
    assert sum(map(bool, found(shingle_size=1))) > sum(map(bool, found(shingle_size=12)))
    assert found(seed=1) != found(seed=2)


@pytest.mark.parametrize("permutations", [16, 128, 1024])
def test_equal_words_reach_the_highest_threshold(permutations: int) -> None:
    dedup = minhash(min_similarity=1.0, permutations=permutations)
    rows = [row("a", text()), row("b", text(changed=60)), row("c", text().upper())]
    assert [dedup.drop_reason(candidate) for candidate in rows] == ["", "", "near duplicate: of a, similarity 1.00"]


def test_comparing_questions_drops_or_keeps_a_problem_as_a_whole() -> None:
    dedup = minhash(compare="question")
    rows = [
        row("a0", "short", text(), "a"),
        row("a1", "another one", text(), "a"),
        row("b0", "nothing like it", text(changed=3), "b"),
        row("b1", "nor this", text(changed=3), "b"),
        row("c0", "short", text(first=100), "c"),
    ]
    assert [bool(dedup.drop_reason(candidate)) for candidate in rows] == [False, False, True, True, False]


def test_trajectories_of_one_problem_are_no_near_duplicates_of_each_other() -> None:
    dedup = minhash()
    ways = [row(level, level, text(), "p") for level in ("direct", "brief", "full")]
    assert [dedup.drop_reason(candidate) for candidate in ways] == ["", "", ""]
    assert dedup.drop_reason(row("other", "brief", text(), "q")) == "near duplicate: of brief, similarity 1.00"


def test_texts_shorter_than_a_shingle_are_compared_whole() -> None:
    dedup = minhash()
    assert [bool(dedup.drop_reason(row(n, n[0], question=""))) for n in ("a", "b", "a again")] == [False, False, True]


def test_without_datasketch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(UserError, match=r"no datasketch; install the extra curate: pip install"):
        minhash()


def test_the_first_exact_duplicate_is_kept_and_named() -> None:
    dedup = ExactDedup()
    candidates = [
        Candidate("a", "p", "Q one?", "R  one."),
        Candidate("b", "p", "q ONE?", "r\none."),
        Candidate("c", "p", "Q one?", "R two."),
        Candidate("d", "q", "Q two?", "R one."),
        Candidate("a", "p", "Q one?", "R one."),
    ]
    assert [dedup.drop_reason(candidate) for candidate in candidates] == [
        "",
        "duplicate: of a",
        "",
        "",
        "duplicate: of a",
    ]
