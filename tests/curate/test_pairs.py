"""The pair of a problem is its shortest and its longest verified trajectory; a setting selects the kept ones."""

from __future__ import annotations

import pytest

from z1.curate.pairs import CandidateRow, find_pairs, hash_uniform
from z1.curate.plan import PairSettings


def entries() -> list[CandidateRow]:
    made = [CandidateRow(f"{name}{n}", name, n) for name in ("a", "b") for n in (30, 10, 90, 50)]
    return [*made, CandidateRow("a1", "a", 1, "tests failed"), CandidateRow("c5", "c", 5)]


@pytest.mark.parametrize(
    ("setting", "staying"),
    [
        ("all", {"a30", "a10", "a90", "a50", "b30", "b10", "b90", "b50", "c5"}),
        ("shortest", {"a10", "b10", "c5"}),
        ("longest", {"a90", "b90", "c5"}),
        ("both", {"a10", "a90", "b10", "b90", "c5"}),
    ],
)
def test_which_rows_of_a_problem_are_kept(setting: str, staying: set[str]) -> None:
    every = entries()
    found = find_pairs(every, PairSettings.model_validate({"keep": setting}), 0)
    assert {one.id for one in every if not one.reason} == staying
    assert [(pair.shortest.id, pair.longest.id, pair.ratio) for pair in found] == [("a10", "a90", 9), ("b10", "b90", 9)]
    assert [one.reason for one in every if one.id == "a1"] == ["tests failed"]


def test_a_mix_keeps_one_row_per_problem_in_about_the_requested_share() -> None:
    every = [CandidateRow(f"{p}-{n}", str(p), n) for p in range(1000) for n in (1, 2)]
    find_pairs(every, PairSettings(keep="mix", long_share=0.3), 7)
    staying = [one for one in every if not one.reason]
    assert len({one.problem for one in staying}) == len(staying) == 1000
    assert 250 < sum(one.tokens == 2 for one in staying) < 350


def test_two_equally_long_rows_form_a_pair() -> None:
    (pair,) = find_pairs([CandidateRow("x", "p", 5), CandidateRow("y", "p", 5)], PairSettings(), 0)
    assert (pair.shortest.id, pair.longest.id, pair.ratio) == ("x", "y", 1)


def test_hash_uniform_depends_on_seed_and_name() -> None:
    assert hash_uniform(1, "a") == hash_uniform(1, "a") != hash_uniform(2, "a")
    assert all(0 <= hash_uniform(0, str(n)) < 1 for n in range(100))
