"""Grading by files of pytest functions; tests that cannot be graded give missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from z1.grading import Verdict
from z1.grading.pytests import add_alias, convert_to_unittest, grade, imported_names
from z1.sandbox import ResourceLimits, Sandbox

LIMITS = ResourceLimits(wall_seconds=10, cpu_seconds=5, max_processes=64)

TESTS = """
import pytest
from solution import twice

def helper(x):
    return x

def test_small():
    assert twice(2) == 4

def test_text():
    with pytest.raises(TypeError):
        twice(None)
"""
GOOD = "def twice(x):\n    return 2 * x\n"

ROWS = {
    "right": (GOOD, TESTS, Verdict.RIGHT),
    "wrong for a number": ("def twice(x):\n    return 2 + x * 0\n", TESTS, Verdict.WRONG),
    "no such function": ("def a(): pass\ndef b(): pass\n", TESTS, Verdict.WRONG),
    "another name, and recursive": ("def f(x):\n    return 0 if x == 0 else 2 + f(x - 1)\n", TESTS, Verdict.RIGHT),
    "its helper is called as the tests' is": (
        "def helper(x):\n    return x + x\n\ndef twice(x):\n    return helper(x)\n",
        TESTS,
        Verdict.RIGHT,
    ),
    "a main that is not run": (GOOD + "if __name__ == '__main__':\n    raise SystemExit(1)\n", TESTS, Verdict.RIGHT),
    "an early end": ("import sys\ndef twice(x):\n    sys.exit(0)\n", TESTS, Verdict.WRONG),
    "equal to everything": (
        "class E:\n    def __eq__(self, o): return True\n    def __hash__(self): return 1\n\ndef twice(x):\n"
        "    if x is None: raise TypeError\n    return E()\n",
        TESTS,
        Verdict.WRONG,
    ),
    "a syntax error": ("def twice(x:", TESTS, Verdict.WRONG),
    "tests that do not import": (GOOD, "def test_a():\n    assert twice(1) == 2\n", Verdict.RIGHT),
    "tests in a class": (
        GOOD,
        "from solution import twice as t\nclass TestIt:\n    def test_a(self):\n        assert t(1) == 2\n",
        Verdict.RIGHT,
    ),
    "a class that fails": (
        GOOD,
        "from solution import twice\nclass TestIt:\n    def test_a(self):\n        assert twice(1) == 3\n",
        Verdict.WRONG,
    ),
    "a fixture": (
        GOOD,
        "from solution import twice\ndef test_a(tmp_path):\n    assert twice(1) == 2\n",
        Verdict.MISSING,
    ),
    "no test": (GOOD, "from solution import twice\n", Verdict.MISSING),
    "broken tests": (GOOD, "def test(:", Verdict.MISSING),
    "a library that is not there": (GOOD, "import nowhere\ndef test_a():\n    assert twice(1) == 2\n", Verdict.MISSING),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(preload=["unittest", "unittest.mock", "pytest"]) as made:
        yield made


@pytest.mark.parametrize("name", ROWS)
def test_solutions_are_graded(name: str, sandbox: Sandbox) -> None:
    code, tests, verdict = ROWS[name]
    found = grade(sandbox, code, tests, "twice", LIMITS)
    assert found.verdict is verdict, found.reason


def test_the_only_function_gets_an_alias_if_the_name_is_free() -> None:
    assert add_alias("def f(): pass", "g").endswith("\n\ng = f\n")
    for code in ("def g(): pass", "g = 1\ndef f(): pass", "def a(): pass\ndef b(): pass", "class A: pass", "def ("):
        assert add_alias(code, "g") == code
    assert add_alias("def f(): pass", "") == "def f(): pass"


def test_tests_become_unit_tests_without_their_imports_of_the_solution() -> None:
    tree = ast.parse("from solution import a, b as c\nfrom solution import *\nfrom os import path\ndef test_x(): a()\n")
    assert imported_names(tree) == ["a", "b as c"]
    source = convert_to_unittest(tree)
    assert "solution" not in source and "from os import path" in source and "def test_x(self): test_x()" in source
