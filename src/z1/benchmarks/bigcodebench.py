"""BigCodeBench-Hard: 148 tasks that use real libraries (Zhuo et al. 2024).

*instruct* gives an instruction, *complete* the head of a function with its documentation, which is built from
`code_prompt` and `doc_struct` where the file has no column for it. A solution runs after the task's own head (imports
and constants), as in the benchmark's calibrated form, with the interpreter that `Z1_BIGCODEBENCH_PYTHON` names.
Prompt: the paper's (`eval/code_evaluation/bigcodebench/model.py`), without its prefilled beginning of the answer, which
would prevent thinking.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.python_tests import has_test_method
from z1.benchmarks.rows import Row, get_text, load_problems
from z1.errors import UserError
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
SECTIONS = (("params", "Parameters:"), ("returns", "Returns:"), ("reqs", "Requirements:"), ("raises", "Raises:"))


def load_instruct(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks, each as an instruction."""
    return load_problems(HARD, options.data, lambda row, _: _problem(row, "instruct_prompt", "prompt"), count)


def load_complete(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks, each as the head of a function to complete."""

    def make(row: Row, _: int) -> Problem:
        prompt = row.get("complete_prompt") or build_complete_prompt(row)
        return _problem({**row, "complete_prompt": prompt}, "complete_prompt")

    return load_problems(HARD, options.data, make, count)


def _problem(row: Row, *question_columns: str) -> Problem:
    answer = {key: get_text(row, key) for key in ("code_prompt", "test", "entry_point")}
    if not has_test_method(answer["test"]):
        raise UserError("column test", answer["test"][:60], "give a class with test methods")
    return Problem(get_text(row, "task_id"), get_text(row, *question_columns), json.dumps(answer), "bigcodebench-hard")


def build_complete_prompt(row: Row) -> str:
    """The head of the function with its documentation."""
    sections: dict[str, list[str]] = _sections(get_text(row, "doc_struct"))
    lines = [*sections.get("description", []), *sections.get("notes", [])]
    for key, title in SECTIONS:
        if sections.get(key):
            lines += ["", title, *(f"- {entry}" for entry in sections[key])]
    if sections.get("examples"):
        lines += ["", "Example:", *sections["examples"]]
    text = textwrap.indent("\n".join(lines), "    ").replace('"""', "'''")
    return f'{get_text(row, "code_prompt").rstrip()}\n    """\n{text}\n    """\n'


def _sections(text: str) -> dict[str, list[str]]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError("column doc_struct", error, "give the object of the hub's own format") from None


def build_suite(problem: Problem) -> unit_tests.UnitTestSuite:
    """The unit tests of the task, after its own head: imports, constants and the signature."""
    answer: dict[str, Any] = json.loads(problem.answer)
    setup = f"{answer['code_prompt'].rstrip()}\n    pass\n"
    return unit_tests.UnitTestSuite(answer["test"], answer["entry_point"], setup)


def grade(text: str, problem: Problem, cut: bool) -> Grade:
    """Run the script in `text` on the unit tests of the task."""
    code = code_extraction.extract_code(text, json.loads(problem.answer)["entry_point"], ended=not cut)
    if code is None:
        return grade_no_answer(cut=cut)
    return unit_tests.grade(pool.for_libraries(), code, build_suite(problem))
