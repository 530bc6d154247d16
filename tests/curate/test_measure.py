"""Missing measures are computed once, cheap ones first; a missing verdict is computed again."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from z1.curate import measure, verification
from z1.curate.measure import LOG, MeasureCache, MeasureSettings, content_hash, is_incomplete
from z1.curate.measure import measure as measure_block
from z1.curate.parallel import Function
from z1.curate.plan import CuratePlan
from z1.curate.sources import Candidate
from z1.grading import Grade, Verdict
from z1.models import shipped


def settings(**tables: Any) -> MeasureSettings:
    return MeasureSettings.from_plan(
        CuratePlan.model_validate({"name": "x", "source": ({"path": "t.jsonl"},), **tables})
    )


def one(response: str, **fields: Any) -> Candidate:
    return Candidate("a", "a", "?", response, **fields)


def test_only_configured_and_missing_measures_are_computed() -> None:
    assert measure_block(settings(check={"repetition": 1}), [one("a")]) == [{}]
    tokens = settings(tokens={"tokenizer": str(shipped())})
    assert measure_block(tokens, [one("1 2"), one("1 2", tokens=9)]) == [
        {"tokens": 3, "repetition": 0.0},
        {"repetition": 0.0},
    ]
    assert is_incomplete(tokens, one("a")) and not is_incomplete(tokens, one("a", tokens=1, repetition=0.0))


def test_tests_run_only_on_candidates_that_pass_every_other_filter() -> None:
    chosen = settings(check={"tests": True, "max_tokens": 10, "code": True})
    block = [one("```\na\n```", tests="t"), one("no code", tests="t"), one("```\nb\n```"), one("", tests="t")]
    block.append(one("```\na\n```", tests="t", verdict="wrong", fault="x"))
    with mock.patch.object(verification, "grade_all", lambda due: [Grade(Verdict.WRONG, str(len(due)))] * len(due)):
        found = measure_block(chosen, block)
    assert [values.get("fault") for values in found] == ["1", None, None, None, None]
    assert [values["repetition"] for values in found] == [0.0] * 5


def test_signatures_are_computed_only_for_kept_candidates() -> None:
    pytest.importorskip("datasketch")
    chosen = settings(duplicates={"min_similarity": 0.8, "permutations": 16}, check={"passed": True})
    stays, goes = measure_block(chosen, [one("a b c", passed=True), one("a b c", passed=False)])
    assert len(b64decode(stays["minhash"])) == 4 * 16 and "minhash" not in goes


def test_log_keys_name_the_tokenizer_and_the_minhash_settings() -> None:
    plain, other = settings(), settings(tokens={"tokenizer": str(shipped())}, duplicates={"permutations": 16})
    assert "tokens" not in plain.log_keys() and other.log_keys()["tokens"].startswith("tokens ")
    assert plain.log_keys()["minhash"] != other.log_keys()["minhash"]
    assert plain.log_keys()["minhash"] == settings(duplicates={"min_similarity": 0.5}).log_keys()["minhash"]
    assert set(other.log_keys()) <= set(Candidate.__dataclass_fields__)


def test_steps_compute_in_order_of_cost() -> None:
    names = [step.compute.__name__ for step in measure.STEPS]
    assert names == ["_tokens", "_repetition", "_answer", "_verdict", "_minhash"]


BLOCK = [Candidate(f"c{n}", "p", "?", "x = 1\n" * n) for n in range(1, 5)]


def with_tokenizer(**tables: Any) -> MeasureSettings:
    return settings(**{"tokens": {"tokenizer": str(shipped())}, **tables})


def never(_: Function, blocks: Iterable[list[Any]]) -> Iterator[list[Any]]:
    for block in blocks:
        assert not block, "measured again"
        yield []


def test_a_candidate_is_measured_once(tmp_path: Path) -> None:
    (first,) = MeasureCache(with_tokenizer(), tmp_path).measure_blocks([BLOCK])
    assert [one.tokens for one in first] == sorted(one.tokens or 0 for one in first) and first[0].repetition == 0
    (again,) = MeasureCache(with_tokenizer(), tmp_path).measure_blocks([list(reversed(BLOCK))], never)
    assert list(reversed(again)) == first
    assert len((tmp_path / LOG).read_text().splitlines()) == len(BLOCK)


def test_logs_of_shards_are_read_and_a_torn_line_is_not(tmp_path: Path) -> None:
    list(MeasureCache(with_tokenizer(), tmp_path, "measured-1-of-2.jsonl").measure_blocks([BLOCK[::2]]))
    list(MeasureCache(with_tokenizer(), tmp_path, "measured-2-of-2.jsonl").measure_blocks([BLOCK[1::2]]))
    list(MeasureCache(with_tokenizer(), tmp_path).measure_blocks([BLOCK], never))
    path = tmp_path / "measured-2-of-2.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    torn = MeasureCache(with_tokenizer(), tmp_path)
    assert [torn.is_incomplete(torn.with_cached(one)) for one in BLOCK] == [False, False, False, True]


def test_another_tokenizer_counts_again_and_other_measures_are_kept(tmp_path: Path) -> None:
    list(MeasureCache(with_tokenizer(), tmp_path).measure_blocks([BLOCK]))
    other = tmp_path / "other.json"
    facts = json.loads((shipped() / "tokenizer.json").read_text())
    other.write_text(json.dumps({**facts, "normalizer": {"type": "Lowercase"}}))
    asked = MeasureCache(with_tokenizer(tokens={"tokenizer": str(other)}), tmp_path)
    filled = asked.with_cached(BLOCK[0])
    assert filled.tokens is None and filled.repetition == 0


def test_the_tokenizers_count_replaces_that_of_the_source(tmp_path: Path) -> None:
    (block,) = MeasureCache(with_tokenizer(), tmp_path).measure_blocks([[replace(BLOCK[0], tokens=99)]])
    assert block[0].tokens != 99
    (kept,) = MeasureCache(with_tokenizer(tokens={}), tmp_path).measure_blocks([[replace(BLOCK[0], tokens=99)]])
    assert kept[0].tokens == 99


def test_a_missing_verdict_is_computed_again_only_by_the_next_run(tmp_path: Path) -> None:
    chosen = with_tokenizer(tokens={}, check={"tests": True})
    tries: list[int] = []

    def failing(block: list[Candidate]) -> list[Grade]:
        tries.append(len(block))
        return [Grade(Verdict.MISSING, "no sandbox")] * len(block)

    block = [replace(one, tests="t") for one in BLOCK]
    with mock.patch.object(verification, "grade_all", failing):
        for _ in range(2):
            measured = MeasureCache(chosen, tmp_path)
            for _ in range(2):
                (found,) = measured.measure_blocks([block])
                assert {one.fault for one in found} == {"no sandbox"}
    assert [n for n in tries if n] == [4, 4]


def test_the_key_depends_on_the_content_and_not_on_the_id() -> None:
    assert content_hash(BLOCK[0]) == content_hash(replace(BLOCK[0], id="other", problem="q", passed=True))
    for field in ("question", "response", "end", "tests", "entry", "setup"):
        assert content_hash(BLOCK[0]) != content_hash(replace(BLOCK[0], **{field: "other"}))  # type: ignore[arg-type]
