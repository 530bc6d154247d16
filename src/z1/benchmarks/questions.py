"""A benchmark of your own: questions with short answers in one file.

Columns `question` and `answer`; `id`, `steps` (difficulty, a whole number) and `kind` if there are any. The answer of a
reply is right if its last box is the expected text, or if both are numbers or expressions of equal value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from z1.benchmarks.hub import NO_OPTIONS, LoadOptions
from z1.benchmarks.rows import Row, get_text, read_problems
from z1.errors import UserError
from z1.grading import Grade, Verdict, exact_match, math_answers
from z1.records import Problem
from z1.sandbox import pool

NAME = "questions"


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` rows of the file `options.data`. Raises UserError without one."""
    path = Path(options.data)
    if not options.data or not path.is_file():
        got = f"no file {options.data}".rstrip()
        raise UserError(f"data of benchmark {NAME}", got, "give a file of rows with the columns question and answer")
    return read_problems([path], _problem, count)


def _problem(row: Row, number: int) -> Problem:
    name, kind = str(row.get("id") or f"{NAME}/{number}"), str(row.get("kind") or "")
    return Problem(name, get_text(row, "question"), get_text(row, "answer"), NAME, kind, _steps(row.get("steps")))


def _steps(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not str(value).isdecimal():
        raise UserError("column steps", value, "give a whole number")
    return int(value)


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Compare the answer in `text` with the problem's."""
    if exact_match(text, problem.answer, cut=cut) is Verdict.RIGHT:
        return Grade(Verdict.RIGHT)
    return math_answers.grade(pool.for_math(), text, problem.answer, cut=cut)
