"""Which 500 competition problems measure mathematics, and GSM8K's of grade school beside them?

MATH-500 is the part of MATH (Hendrycks et al. 2021) that PRM800K (Lightman et al. 2023) held out; GSM8K is Cobbe et al.
2021. Prompt: the paper's appendix B.1 (figures 6 and 7).
"""

from __future__ import annotations

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, column, rows
from z1.grading import Grade, math_answers
from z1.records import Problem
from z1.sandbox import pool

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
PROMPT = "{question}"

MATH500 = HubFiles("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", ("test.jsonl",))
GSM8K = HubFiles("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", ("main/test-00000-of-00001.parquet",))


def load_math500(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems; `steps` is the level, 1 to 5, and `kind` the subject."""
    return [
        Problem(
            str(row.get("unique_id") or f"math500/{number}"),
            column(row, "problem"),
            column(row, "answer"),
            "math500",
            str(row.get("subject", "")),
            int(row["level"]) if row.get("level") else None,
        )
        for number, row in enumerate(rows(MATH500, options.data)[:count])
    ]


def load_gsm8k(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems; the answer is what stands behind the last `####`, without commas."""
    return [
        Problem(f"gsm8k/{number}", column(row, "question"), _last(column(row, "answer")), "gsm8k")
        for number, row in enumerate(rows(GSM8K, options.data)[:count])
    ]


def _last(solution: str) -> str:
    return solution.rpartition("####")[2].strip().replace(",", "")


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Whether the answer in `text` is the problem's."""
    return math_answers.grade(pool.for_math(), text, problem.answer, cut=cut)
