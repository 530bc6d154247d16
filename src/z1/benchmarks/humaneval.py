"""Can a model write a small function, from its documentation or from a sentence?

HumanEval (Chen et al. 2021), 164 heads of functions, and MBPP (Austin et al. 2021), 500 sentences with three assertions
each, the first shown to the model as its authors do.
"""

from __future__ import annotations

import ast
import builtins
import json

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions, Row, column, rows
from z1.grading import Grade, code_extraction, unit_tests
from z1.grading.verdict import grade_no_answer
from z1.records import Problem
from z1.sandbox import ResourceLimits, pool

HUMANEVAL = HubFiles(
    "openai/openai_humaneval",
    "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
    ("openai_humaneval/test-00000-of-00001.parquet",),
)
MBPP = HubFiles(
    "google-research-datasets/mbpp",
    "4bb6404fdc6cacfda99d4ac4205087b89d32030c",
    ("full/test-00000-of-00001.parquet",),
)
PROMPT = "Write a complete Python function in a markdown code block:\n\n{question}"
LIMITS = ResourceLimits(wall_seconds=30.0, cpu_seconds=20.0)


def load_humaneval(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks."""
    return [_humaneval(row) for row in rows(HUMANEVAL, options.data)[:count]]


def _humaneval(row: Row) -> Problem:
    head, name = column(row, "prompt"), column(row, "entry_point")
    answer = {"head": head, "name": name, "source": column(row, "test"), "body": f"check({name})"}
    return Problem(column(row, "task_id"), f"```python\n{head}```", json.dumps(answer), "humaneval")


def load_mbpp(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks of the test split."""
    return [_mbpp(row) for row in rows(MBPP, options.data)[:count]]


def _mbpp(row: Row) -> Problem:
    shown: list[str] = list(column(row, "test_list"))
    body = "\n".join([*shown, *(row.get("challenge_test_list") or [])])
    answer = {"head": "", "name": called(shown[0]), "source": row.get("test_setup_code") or "", "body": body}
    question = f"{column(row, 'text', 'prompt')}\n\nYour code should pass this test:\n\n```python\n{shown[0]}\n```"
    return Problem(f"mbpp/{column(row, 'task_id')}", question, json.dumps(answer), "mbpp")


def called(assertion: str) -> str:
    """The function that an assertion is about: the first one called by name that Python does not bring along."""
    calls = (node.func for node in ast.walk(ast.parse(assertion)) if isinstance(node, ast.Call))
    names = [function.id for function in calls if isinstance(function, ast.Name)]
    own = [name for name in names if not hasattr(builtins, name)]
    return (own or names or [""])[0]


def whole(problem: Problem, code: str) -> str:
    """`code` behind the task's own head, which it may replace."""
    head = json.loads(problem.answer)["head"]
    return f"{head}    pass\n\n{code}" if head else code


def tests(problem: Problem) -> unit_tests.UnitTestSuite:
    """The task's assertions as a unit test."""
    answer = json.loads(problem.answer)
    return unit_tests.asserts(answer["source"], answer["name"], answer["body"])


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Whether the function in `text` passes the task's assertions."""
    code = code_extraction.extract_code(text, json.loads(problem.answer)["name"])
    if code is None:
        return grade_no_answer(cut=cut)
    return unit_tests.grade(pool.for_unit_tests(), whole(problem, code), tests(problem), LIMITS)
