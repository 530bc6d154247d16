"""GSM8K: 1,319 word problems of grade-school mathematics (Cobbe et al. 2021, test split).

Prompt and grader are those of MATH-500.
"""

from __future__ import annotations

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, get_column, load_rows
from z1.records import Problem

GSM8K = HubFiles("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", ("main/test-00000-of-00001.parquet",))


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems; the answer is the text after the last `####`, without commas."""
    return [
        Problem(f"gsm8k/{number}", get_column(row, "question"), _final_answer(get_column(row, "answer")), "gsm8k")
        for number, row in enumerate(load_rows(GSM8K, options.data)[:count])
    ]


def _final_answer(solution: str) -> str:
    return solution.rpartition("####")[2].strip().replace(",", "")
