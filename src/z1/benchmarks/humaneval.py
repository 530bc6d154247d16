"""HumanEval: 164 functions to write from their signature and documentation (Chen et al. 2021)."""

from __future__ import annotations

import json

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.python_tests import has_check
from z1.benchmarks.rows import Row, get_text, load_problems
from z1.errors import UserError
from z1.grading import Grade, code_extraction, unit_tests
from z1.grading.verdict import grade_no_answer
from z1.records import Problem
from z1.sandbox import ResourceLimits, pool

HUMANEVAL = HubFiles(
    "openai/openai_humaneval",
    "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
    ("openai_humaneval/test-00000-of-00001.parquet",),
)
PROMPT = "Write a complete Python function in a markdown code block:\n\n{question}"
LIMITS = ResourceLimits(wall_seconds=30.0, cpu_seconds=20.0)


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks."""
    return load_problems(HUMANEVAL, options.data, _problem, count)


def _problem(row: Row, number: int) -> Problem:
    head, name, tests = get_text(row, "prompt"), get_text(row, "entry_point"), get_text(row, "test")
    if not has_check(tests, "check"):
        raise UserError("column test", tests[:60], "give a function check with assertions")
    answer = {"head": head, "name": name, "source": tests, "body": f"check({name})"}
    return Problem(get_text(row, "task_id"), f"```python\n{head}```", json.dumps(answer), "humaneval")


def build_suite(problem: Problem) -> unit_tests.UnitTestSuite:
    """The assertions of the task as a unit test, after the head of the task: imports, helpers and the signature."""
    answer = json.loads(problem.answer)
    setup = f"{answer['head']}    pass\n" if answer["head"] else ""
    return unit_tests.suite_from_assertions(answer["source"], answer["name"], answer["body"], setup)


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Run the function in `text` on the assertions of the task."""
    code = code_extraction.extract_code(text, json.loads(problem.answer)["name"], ended=not cut)
    if code is None:
        return grade_no_answer(cut=cut)
    return unit_tests.grade(pool.for_unit_tests(), code, build_suite(problem), LIMITS)
