"""MBPP: 500 functions to write from one sentence each (Austin et al. 2021, test split).

Each task has three assertions. The first is shown to the model, as its authors do; all of them count. The sanitized
file has its imports for the tests in `test_imports`, and its question in `prompt`. Prompt and grader are those of
HumanEval.
"""

from __future__ import annotations

import ast
import builtins
import json

from z1.benchmarks.hub import NO_OPTIONS, HubFiles, LoadOptions
from z1.benchmarks.python_tests import is_python
from z1.benchmarks.rows import Row, get_text, get_texts, load_problems
from z1.errors import UserError
from z1.records import Problem

MBPP = HubFiles(
    "google-research-datasets/mbpp",
    "4bb6404fdc6cacfda99d4ac4205087b89d32030c",
    ("full/test-00000-of-00001.parquet",),
)


def load(count: int, seed: int, options: LoadOptions = NO_OPTIONS) -> list[Problem]:
    """The first `count` tasks of the test split."""
    return load_problems(MBPP, options.data, _problem, count)


def _problem(row: Row, number: int) -> Problem:
    assertions = get_texts(row, "test_list")
    body = "\n".join([*assertions, *get_texts(row, "challenge_test_list")])
    source = "\n".join([*get_texts(row, "test_imports"), str(row.get("test_setup_code") or "")])
    if not assertions or not is_python(body) or not is_python(source):
        raise UserError("tests of the row", f"{source}\n{body}".strip()[:60], "give assertions in Python as test_list")
    answer = {"head": "", "name": function_name(assertions[0]), "source": source, "body": body}
    question = (
        f"{get_text(row, 'text', 'prompt')}\n\nYour code should pass this test:\n\n```python\n{assertions[0]}\n```"
    )
    return Problem(f"mbpp/{get_text(row, 'task_id')}", question, json.dumps(answer), "mbpp")


def function_name(assertion: str) -> str:
    """The function that `assertion` tests: the first function called by name that is not a builtin."""
    calls = (node.func for node in ast.walk(ast.parse(assertion)) if isinstance(node, ast.Call))
    names = [function.id for function in calls if isinstance(function, ast.Name)]
    own = [name for name in names if not hasattr(builtins, name)]
    return (own or names or [""])[0]
