"""Nothing is measured twice, and what is missing is measured again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from z1.curate import verification
from z1.curate.measure import MeasureSettings
from z1.curate.measured import LOG, MeasureCache, digest
from z1.curate.parallel import Function
from z1.curate.plan import CuratePlan
from z1.curate.sources import Candidate
from z1.grading import Grade, Verdict
from z1.models import shipped

BLOCK = [Candidate(f"c{n}", "p", "?", "x = 1\n" * n) for n in range(1, 5)]


def wanted(**tables: Any) -> MeasureSettings:
    tables = {"tokens": {"tokenizer": str(shipped())}, **tables}
    return MeasureSettings.of(CuratePlan.model_validate({"name": "x", "source": ({"path": "t.jsonl"},), **tables}))


def never(_: Function, blocks: Iterable[list[Any]]) -> Iterator[list[Any]]:
    for block in blocks:
        assert not block, "measured again"
        yield []


def test_measured_once_whoever_asks(tmp_path: Path) -> None:
    (first,) = MeasureCache(wanted(), tmp_path).fill([BLOCK])
    assert [one.tokens for one in first] == sorted(one.tokens or 0 for one in first) and first[0].repetition == 0
    (again,) = MeasureCache(wanted(), tmp_path).fill([list(reversed(BLOCK))], never)
    assert list(reversed(again)) == first
    assert len((tmp_path / LOG).read_text().splitlines()) == len(BLOCK)


def test_logs_of_shards_count_and_a_torn_line_does_not(tmp_path: Path) -> None:
    list(MeasureCache(wanted(), tmp_path, "measured-1-of-2.jsonl").fill([BLOCK[::2]]))
    list(MeasureCache(wanted(), tmp_path, "measured-2-of-2.jsonl").fill([BLOCK[1::2]]))
    list(MeasureCache(wanted(), tmp_path).fill([BLOCK], never))
    path = tmp_path / "measured-2-of-2.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    torn = MeasureCache(wanted(), tmp_path)
    assert [torn.lacks(torn.filled(one)) for one in BLOCK] == [False, False, False, True]


def test_another_tokenizer_counts_anew_and_the_rest_stays(tmp_path: Path) -> None:
    list(MeasureCache(wanted(), tmp_path).fill([BLOCK]))
    other = tmp_path / "other.json"
    facts = json.loads((shipped() / "tokenizer.json").read_text())
    other.write_text(json.dumps({**facts, "normalizer": {"type": "Lowercase"}}))
    asked = MeasureCache(wanted(tokens={"tokenizer": str(other)}), tmp_path)
    filled = asked.filled(BLOCK[0])
    assert filled.tokens is None and filled.repetition == 0


def test_a_sources_own_count_gives_way_to_the_tokenizers(tmp_path: Path) -> None:
    (block,) = MeasureCache(wanted(), tmp_path).fill([[replace(BLOCK[0], tokens=99)]])
    assert block[0].tokens != 99
    (kept,) = MeasureCache(wanted(tokens={}), tmp_path).fill([[replace(BLOCK[0], tokens=99)]])
    assert kept[0].tokens == 99


def test_a_missing_verdict_is_tried_again_by_the_next_run_alone(tmp_path: Path) -> None:
    chosen = wanted(tokens={}, check={"tests": True})
    tries: list[int] = []

    def failing(block: list[Candidate]) -> list[Grade]:
        tries.append(len(block))
        return [Grade(Verdict.MISSING, "no sandbox")] * len(block)

    block = [replace(one, tests="t") for one in BLOCK]
    with mock.patch.object(verification, "grades", failing):
        for _ in range(2):
            measured = MeasureCache(chosen, tmp_path)
            for _ in range(2):
                (found,) = measured.fill([block])
                assert {one.fault for one in found} == {"no sandbox"}
    assert [n for n in tries if n] == [4, 4]


def test_the_key_is_the_content_and_not_the_name() -> None:
    assert digest(BLOCK[0]) == digest(replace(BLOCK[0], id="other", problem="q", passed=True))
    for field in ("question", "response", "end", "tests", "entry", "setup"):
        assert digest(BLOCK[0]) != digest(replace(BLOCK[0], **{field: "other"}))  # type: ignore[arg-type]
