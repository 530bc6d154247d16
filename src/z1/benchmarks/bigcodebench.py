"""Can a model use real libraries as an instruction says?

BigCodeBench-Hard (Zhuo et al. 2024), 148 tasks: *instruct* gives a sentence, *complete* a function's head with its
documentation, built from `code_prompt` and `doc_struct` where a file has no column for it. A solution is run behind
the task's own head (imports and constants), as the benchmark does in its calibrated form, with the interpreter that
`Z1_BIGCODEBENCH_PYTHON` names. Prompt: the paper's (`eval/code_evaluation/bigcodebench/model.py`), without the answer
that it puts into the model's mouth, since that would leave no room for a thought.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, Row, column, rows
from z1.grading import Grade, code_extraction, unit_tests
from z1.grading.verdict import grade_no_answer
from z1.records import Problem
from z1.sandbox import pool

HARD = HubFiles(
    "bigcode/bigcodebench-hard",
    "298d2cc7b96612e15e47313c3603ee124cee0c1f",
    ("data/v0.1.4-00000-of-00001.parquet",),
)
SYSTEM = "Please reason step by step."
PROMPT = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n"
    "```\n{question}\n```"
)
PARTS = (("params", "Parameters:"), ("returns", "Returns:"), ("reqs", "Requirements:"), ("raises", "Raises:"))


def load_instruct(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks, asked for in words."""
    return [_problem(row, column(row, "instruct_prompt", "prompt")) for row in rows(HARD, options.data)[:count]]


def load_complete(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks, each the head of a function to complete."""
    return [_problem(row, row.get("complete_prompt") or complete(row)) for row in rows(HARD, options.data)[:count]]


def _problem(row: Row, question: str) -> Problem:
    answer = {key: column(row, key) for key in ("code_prompt", "test", "entry_point")}
    return Problem(str(column(row, "task_id")), question, json.dumps(answer), "bigcodebench-hard")


def complete(row: Row) -> str:
    """The head of the function with its documentation."""
    said: dict[str, list[str]] = json.loads(column(row, "doc_struct"))
    lines = [*said.get("description", []), *said.get("notes", [])]
    for key, title in PARTS:
        if said.get(key):
            lines += ["", title, *(f"- {one}" for one in said[key])]
    if said.get("examples"):
        lines += ["", "Example:", *said["examples"]]
    text = textwrap.indent("\n".join(lines), "    ").replace('"""', "'''")
    return f'{column(row, "code_prompt").rstrip()}\n    """\n{text}\n    """\n'


def tests(problem: Problem) -> unit_tests.UnitTestSuite:
    """The task's unit tests."""
    answer: dict[str, Any] = json.loads(problem.answer)
    return unit_tests.UnitTestSuite(answer["test"], answer["entry_point"])


def whole(problem: Problem, code: str) -> str:
    """`code` behind the task's own head, which it may replace."""
    return f"{json.loads(problem.answer)['code_prompt'].rstrip()}\n    pass\n\n{code}"


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Whether the script in `text` passes the task's tests."""
    code = code_extraction.extract_code(text, json.loads(problem.answer)["entry_point"])
    return (
        grade_no_answer(cut=cut)
        if code is None
        else unit_tests.grade(pool.for_libraries(), whole(problem, code), tests(problem))
    )
