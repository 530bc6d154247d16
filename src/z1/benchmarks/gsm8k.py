"""GSM8K: 1,319 word problems of grade-school mathematics (Cobbe et al. 2021, test split).

Prompt and grader are those of MATH-500.
"""

from __future__ import annotations

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.rows import Row, get_text, load_problems
from z1.errors import UserError
from z1.records import Problem

GSM8K = HubFiles("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", ("main/test-00000-of-00001.parquet",))


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` problems; the answer is the text after the last `####`, without commas."""
    return load_problems(GSM8K, options.data, _problem, count)


def _problem(row: Row, number: int) -> Problem:
    solution = get_text(row, "answer")
    answer = solution.rpartition("####")[2].strip().replace(",", "")
    if not answer:
        raise UserError("column answer", solution[-60:], "give an answer after ####")
    return Problem(f"gsm8k/{number}", get_text(row, "question"), answer, "gsm8k")
