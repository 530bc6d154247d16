"""AIME: three files with columns of their own, and answers that are integers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import SAMPLE_FILES, jsonl
from z1.benchmarks import LoadOptions, get_benchmark
from z1.errors import UserError


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_each_year_is_read_from_the_hubs_own_columns(year: int, tmp_path: Path) -> None:
    SAMPLE_FILES[f"aime{year}"](tmp_path)
    (problem,) = get_benchmark(f"aime{year}").load(9, 0, LoadOptions(str(tmp_path)))
    assert (problem.answer, problem.origin) == ("33", f"aime{year}")


@pytest.mark.parametrize("answer", ["1000", "3.5", "x", "-1"])
def test_an_answer_that_aime_cannot_have_is_refused(answer: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "test.jsonl", [{"id": 1, "problem": "p", "answer": answer}])
    with pytest.raises(UserError, match="give an integer from 0 to 999"):
        get_benchmark("aime2025").load(9, 0, LoadOptions(str(path)))
