"""AIME 2024, 2025 and 2026: 30 competition problems each year, whose answers are integers from 0 to 999.

Thirty problems are few: a difference below about 25 points does not show with one sample each, so several samples are
needed. Problems of 2024 are in many training sets. Prompt and grader are those of MATH-500. The problems are the MAA's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.rows import Row, get_text, load_problems
from z1.errors import UserError
from z1.records import Problem

YEARS = {
    2024: HubFiles(
        "Maxwell-Jia/AIME_2024", "8d88b2876a82a080e2f172cc9b25d0d9d2cb4792", ("aime_2024_problems.parquet",)
    ),
    2025: HubFiles("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b", ("test.jsonl",)),
    2026: HubFiles("math-ai/aime26", "04e80cb40b681c93511a913a6ba30529e6323832", ("aime2026.jsonl",)),
}


def loader(year: int) -> Callable[[int, int, LoadOptions], list[Problem]]:
    """The loader of one year."""
    return partial(_load, year)


def _load(year: int, count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    return load_problems(YEARS[year], options.data, partial(_problem, year), count)


def _problem(year: int, row: Row, number: int) -> Problem:
    """A row of any of the files: the columns of 2024 begin with a capital letter."""
    answer = get_text(row, "answer", "Answer").strip().removesuffix(".0")
    if not answer.isdecimal() or int(answer) > 999:
        raise UserError("column answer", answer, "give an integer from 0 to 999")
    name = str(row.get("ID") or row.get("id") or number + 1)
    return Problem(f"aime{year}/{name}", get_text(row, "problem", "Problem"), str(int(answer)), f"aime{year}")
