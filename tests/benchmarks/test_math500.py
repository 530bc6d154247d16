"""Which answers do the two sets of mathematics expect?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import GSM8K, MATH500, jsonl
from z1.benchmarks import LoadOptions, get_benchmark

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_level_and_subject_are_kept(tmp_path: Path) -> None:
    _, last = get_benchmark("math500").load(9, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", MATH500))))
    assert (last.steps, last.kind, last.answer) == (5, "Algebra", "\\frac{1}{2}")


def test_what_stands_behind_the_last_mark_without_commas(tmp_path: Path) -> None:
    (problem,) = get_benchmark("gsm8k").load(9, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", GSM8K))))
    assert problem.answer == "1001"


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")
@pytest.mark.parametrize(("name", "file", "count"), [("math500", "math500", 500), ("gsm8k", "gsm8k_test", 1319)])
def test_all_load_from_a_published_file(name: str, file: str, count: int) -> None:
    problems = get_benchmark(name).load(10**6, 0, LoadOptions(str(SHARED / f"{file}.jsonl.gz")))
    assert len({problem.id for problem in problems}) == count
    assert all(problem.answer for problem in problems)
