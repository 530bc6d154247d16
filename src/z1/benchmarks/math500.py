"""MATH-500: 500 competition problems of mathematics.

The part of MATH (Hendrycks et al. 2021) that PRM800K (Lightman et al. 2023) held out. Prompt: the paper's appendix B.1
(figures 6 and 7).
"""

from __future__ import annotations

from typing import Any

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.rows import Row, get_text, load_problems
from z1.errors import UserError
from z1.grading import Grade, math_answers
from z1.records import Problem
from z1.sandbox import pool

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
PROMPT = "{question}"

MATH500 = HubFiles("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", ("test.jsonl",))


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems; `steps` is the level, 1 to 5, and `kind` the subject."""
    return load_problems(MATH500, options.data, _problem, count)


def _problem(row: Row, number: int) -> Problem:
    name, subject = str(row.get("unique_id") or f"math500/{number}"), str(row.get("subject") or "")
    question, answer = get_text(row, "problem"), get_text(row, "answer")
    return Problem(name, question, answer, "math500", subject, _level(row.get("level")))


def _level(value: Any) -> int | None:
    """5 from 5, "5" and "Level 5"; None from nothing and from MATH's "Level ?"."""
    text = "" if value is None else str(value).strip().removeprefix("Level").strip()
    if text in ("", "?"):
        return None
    if not text.removesuffix(".0").isdecimal():
        raise UserError("column level", value, "give a number, such as 5 or Level 5")
    return int(text.removesuffix(".0"))


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Compare the answer in `text` with the problem's."""
    return math_answers.grade(pool.for_math(), text, problem.answer, cut=cut)
