"""Grading of functions: right results, wrong results and cheats."""

from __future__ import annotations

from typing import Any

import pytest

from z1.grading import Grade, Verdict, function_tests
from z1.sandbox import ResourceLimits, Sandbox

ADD = [([1, 2], 3), ([5, 6], 11)]

RIGHT: dict[str, tuple[str, list[tuple[Any, Any]]]] = {
    "a function": ("def f(a, b): return a + b", ADD),
    "a method": ("class Solution:\n    def f(self, a, b): return a + b", ADD),
    "a new Solution each time": (
        "class Solution:\n    def __init__(self): self.n = 0\n    def f(self, a, b):\n        self.n += 1\n"
        "        return a + b if self.n == 1 else 0",
        ADD,
    ),
    "type hints without imports": (
        "class Solution:\n    def f(self, a: List[int], b: Optional[int]): return a",
        [([1, 2], 1)],
    ),
    "libraries without imports": ("def f(a, b): return max(Counter([a, a, b]), key=lambda x: inf)", [([1, 2], 1)]),
    "its own pow": ("def f(a, b): return pow(a, b, 5)", [([2, 3], 3)]),
    "a tuple for a list": ("def f(a, b): return (a, b)", [([1, 2], [1, 2])]),
    "a nested tuple": ("def f(a, b): return [(a, b)]", [([1, 2], [[1, 2]])]),
    "1.0 for 1": ("def f(a, b): return a / b", [([2, 2], 1)]),
    "True for 1": ("def f(a, b): return a == b", [([2, 2], 1)]),
    "nothing": ("def f(a, b): return None", [([2, 2], None)]),
    "a string": ("def f(a, b): return 'ö' * a", [([2, 2], "öö")]),
    "infinity": ("def f(a, b): return inf", [([2, 2], float("inf"))]),
    "arguments by name": ("def f(a, b): return a - b", [("dict(b=1, a=3)", 2)]),
    "prints on the way": ("def f(a, b):\n    print('x' * 1000)\n    return a + b", ADD),
}

WRONG: dict[str, tuple[str, str]] = {
    "another result": ("def f(a, b): return a", "wrong answer (test 1 of 2)"),
    "right at first": ("def f(a, b): return 3", "wrong answer (test 2 of 2)"),
    "a text for a number": ("def f(a, b): return str(a + b)", "wrong answer (test 1 of 2)"),
    "an exception": ("def f(a, b): return 1 / 0", "runtime: ZeroDivisionError: division by zero (test 1 of 2)"),
    "no such function": ("def g(a, b): return a + b", "runtime: KeyError: 'f' (test 1 of 2)"),
    "a syntax error": ("def f(a, b: return", "runtime: status 1, SyntaxError: "),
    "equal to everything": (
        "class E(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef f(a, b): return E(0)",
        "wrong answer (test 1 of 2)",
    ),
    "equal to everything, as an object": (
        "class E:\n    def __eq__(self, o): return True\ndef f(a, b): return E()",
        "wrong answer (test 1 of 2)",
    ),
    "a repr that lies": ("class E:\n    def __repr__(self): return '3'\ndef f(a, b): return E()", "wrong answer"),
    "os._exit(0)": (
        "import os\ndef f(a, b): os._exit(0)",
        "runtime: the program ended before the test did (test 1 of 2)",
    ),
    "sys.exit(0)": ("import sys\ndef f(a, b): sys.exit(0)", "runtime: SystemExit: 0 (test 1 of 2)"),
    "a loop": ("def f(a, b):\n    while True: pass", "time (test 1 of 2)"),
    "a loop that catches everything": (
        "def f(a, b):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        "time (test 1 of 2)",
    ),
    "right, and then a loop": ("def f(a, b):\n    while a == 5: pass\n    return a + b", "time (test 2 of 2)"),
    "walking the stack": (
        "import sys\ndef f(a, b):\n    g = sys._getframe()\n    while g:\n"
        "        for k in ('expected', 'wanted', 'gt_out', 'all_outputs', 'outputs', 'tests'):\n"
        "            if k in g.f_locals: return g.f_locals[k][0]\n        g = g.f_back",
        "wrong answer (test 1 of 2)",
    ),
    "forged lines": (
        'import os\nos.write(3, b\'{"number": 0, "value": true}\\n{"number": 1, "value": true}\\n\')\n'
        "def f(a, b): return 0",
        "wrong answer (test 1 of 2)",
    ),
    "forged lines that are none": ("import os\nos.write(3, b'x\\n')\ndef f(a, b): return a + b", "runtime: "),
    "patching json": ("import json\njson.dumps = lambda *a: '{}'\ndef f(a, b): return 0", "runtime: "),
    "a result within itself": ("def f(a, b):\n    x = []\n    x.append(x)\n    return x", "wrong answer (test 1 of 2)"),
    "a result without end": ("def f(a, b): return iter(int, 1)", "wrong answer (test 1 of 2)"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_are_right(sandbox: Sandbox, name: str) -> None:
    code, tests = RIGHT[name]
    assert function_tests.grade(sandbox, code, "f", tests) == Grade(Verdict.RIGHT)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_functions_are_wrong_for_the_named_reason(sandbox: Sandbox, name: str) -> None:
    code, reason = WRONG[name]
    grade = function_tests.grade(sandbox, code, "f", ADD, ResourceLimits(wall_seconds=1.5, cpu_seconds=1))
    assert grade.verdict is Verdict.WRONG
    assert grade.reason.startswith(reason), grade


def test_grading_without_tests_raises(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="needs at least one test"):
        function_tests.grade(sandbox, "", "f", [])
