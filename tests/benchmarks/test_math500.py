"""MATH-500: answers, levels and subjects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import MATH500, jsonl
from z1.benchmarks import LoadOptions, get_benchmark

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_level_and_subject_are_kept(tmp_path: Path) -> None:
    _, last = get_benchmark("math500").load(9, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", MATH500))))
    assert (last.steps, last.kind, last.answer) == (5, "Algebra", "\\frac{1}{2}")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")
def test_all_500_load_from_a_published_file() -> None:
    problems = get_benchmark("math500").load(10**6, 0, LoadOptions(str(SHARED / "math500.jsonl.gz")))
    assert len({problem.id for problem in problems}) == 500
    assert all(problem.answer for problem in problems)
