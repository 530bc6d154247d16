"""MATH-500: 500 competition problems of mathematics.

The part of MATH (Hendrycks et al. 2021) that PRM800K (Lightman et al. 2023) held out. Prompt: the paper's appendix B.1
(figures 6 and 7).
"""

from __future__ import annotations

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, get_column, load_rows
from z1.grading import Grade, math_answers
from z1.records import Problem
from z1.sandbox import pool

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
PROMPT = "{question}"

MATH500 = HubFiles("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", ("test.jsonl",))


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems; `steps` is the level, 1 to 5, and `kind` the subject."""
    return [
        Problem(
            str(row.get("unique_id") or f"math500/{number}"),
            get_column(row, "problem"),
            str(get_column(row, "answer")),
            "math500",
            str(row.get("subject", "")),
            int(row["level"]) if row.get("level") else None,
        )
        for number, row in enumerate(load_rows(MATH500, options.data)[:count])
    ]


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Compare the answer in `text` with the problem's."""
    return math_answers.grade(pool.for_math(), text, problem.answer, cut=cut)
