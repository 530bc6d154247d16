"""Tests in a process of their own: the solution cannot reach it, and how it ends is told."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from z1.grading import Verdict
from z1.grading.unit_tests import UnitTestSuite, grade, suite_from_assertions
from z1.sandbox import ResourceLimits, Sandbox

LIMITS = ResourceLimits(wall_seconds=4, cpu_seconds=1, max_processes=64)
SETUP = (
    "import math\nfrom typing import List\n"
    "def poly(xs: List[int], x):\n    return sum(c * x**i for i, c in enumerate(xs))\n"
)
SUITE = suite_from_assertions(
    "def check(g):\n    assert g(3) == 97531\n    assert abs(poly([g(1), 1], 2) - 97531) < 1e-4\n",
    "f",
    "check(f)",
    SETUP,
)
"""The expected results, 97531 and 97529, must stay unknown to a solution that does not compute them."""

HONEST = {
    "plain": "def f(n): return 97531 - 2 * (n == 1)",
    "annotations of the future": (
        "from __future__ import annotations\ndef f(n: List[int]) -> X: return 97531 - 2 * (n == 1)"
    ),
    "introspection": (
        "import inspect, sys\ndef g(a, b): pass\ndef f(n):\n    assert len(inspect.signature(g).parameters) == 2\n"
        "    assert inspect.getfullargspec(g).args == ['a', 'b'] and g.__code__.co_argcount == 2\n"
        "    assert sys._getframe().f_code.co_name == 'f'\n    return 97531 - 2 * (n == 1)"
    ),
    "a class that equals numbers": (
        "class N:\n    def __init__(self, v): self.v = v\n"
        "    def __eq__(self, o): return self.v == getattr(o, 'v', o)\n"
        "def f(n):\n    assert N(n) == n and N(n) != n + 1\n    return 97531 - 2 * (N(n) == 1)"
    ),
    "another type of number": "from fractions import Fraction\ndef f(n): return Fraction(97531 - 2 * (n == 1))",
    "a class made by type": "E = type('E', (), {'__eq__': lambda s, o: True})\ndef f(n): return 97531 - 2 * (n == 1)",
    "the names of the task": "def f(n): return int(math.sqrt(poly([97531 - 2 * (n == 1)], 0) ** 2))",
    "its own random state": "import random\nrandom.seed(1)\ndef f(n): return random.choice([97531]) - 2 * (n == 1)",
    "output": "print('hello')\ndef f(n):\n    print(n)\n    return 97531 - 2 * (n == 1)",
}

SEARCH = (
    "import os, re\ndef search(path):\n    found = []\n    for line in open(path + '/maps'):\n"
    "        a, b = (int(x, 16) for x in line.split()[0].split('-'))\n        if 'rw' not in line: continue\n"
    "        with open(path + '/mem', 'rb', 0) as m:\n            try:\n                m.seek(a)\n"
    "                if re.search(b'= 9753[1]', m.read(b - a)): found.append(1)\n"
    "            except (OSError, ValueError): pass\n"
    "    return found\n"
)
HOSTILE = {
    "the tests in its own memory": SEARCH + "def f(n): return 97531 - 2 * (n == 1) if search('/proc/self') else 0",
    "the tests in their memory": SEARCH + "def f(n): return 97531 if search(f'/proc/{os.getppid()}') else 0",
    "the descriptors of the tests": "import os\ndef f(n): return len(os.listdir(f'/proc/{os.getppid()}/fd')) and 97531",
    "a report of its own": (
        'import os\nfor n in range(3, 64):\n    try: os.write(n, b\'{"ended": "", "outcomes": {}}\\n\')\n'
        "    except OSError: pass\ndef f(n): return 0"
    ),
    "reading the input": "import os, sys\ndef f(n): return 97531 if os.read(0, 9) or sys.stdin.read() else 0",
    "a file that the tests might import": (
        "for n in ('json', 'unittest', 'decimal', 'pytest', 'numbers', 'solution'):\n"
        "    open(f'/tmp/{n}.py', 'w').write('import os; os._exit(0)')\ndef f(n): return 0"
    ),
    "ending": "import os\ndef f(n): os._exit(0)",
    "ending at once": "raise SystemExit",
    "killing the tests": "import os\ndef f(n): os.kill(os.getppid(), 9)",
    "interrupting the tests": "import os\ndef f(n):\n    os.kill(os.getppid(), 2)\n    return 0",
    "ending the tests": "import os\ndef f(n):\n    os.kill(os.getppid(), 15)\n    return 0",
    "stopping the tests": "import os\ndef f(n):\n    os.kill(os.getppid(), 19)\n    return 0",
    "killing itself": "import os\ndef f(n): os.kill(os.getpid(), 9)",
    "crashing": "import ctypes\ndef f(n): ctypes.string_at(0)",
    "never returning": "def f(n):\n    while True: pass",
    "ignoring the limit": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f(n):\n    while True: pass"
    ),
    "another message": (
        "import os\nfor n in range(3, 64):\n    try: os.write(n, b'2\\n{}')\n    except OSError: pass\n"
        "def f(n): return 0"
    ),
    "a deep message": (
        "import os\ndef f(n):\n    for n in range(3, 64):\n        try: os.write(n, b'300000\\n' + b'[' * 300000)\n"
        "        except OSError: pass\n    return 0"
    ),
    "patched JSON": "import json\njson.dumps = lambda *a, **k: 'true'\ndef f(n): return 0",
    "an exception that stops a test": "import unittest.case\ndef f(n): raise unittest.case._ShouldStop",
    "a skip": "import unittest\ndef f(n): raise unittest.SkipTest",
    "a surrogate": "def f(n): raise ValueError('\\udfff')",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_solutions_are_right(sandbox: Sandbox, name: str) -> None:
    found = grade(sandbox, HONEST[name], SUITE, LIMITS)
    assert found.verdict is Verdict.RIGHT, found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_solutions_are_wrong(sandbox: Sandbox, name: str) -> None:
    found = grade(sandbox, HOSTILE[name], SUITE, LIMITS)
    assert found.verdict is Verdict.WRONG, found
    found.reason.encode()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("never returning", "time"),
        ("ignoring the limit", "time"),
        ("crashing", "runtime: status -11"),
        ("ending", "runtime: status 70"),
        ("an exception that stops a test", "wrong answer: TestCases.test_all error, _ShouldStop"),
    ],
)
def test_the_reason_is_how_the_solution_ended(sandbox: Sandbox, name: str, reason: str) -> None:
    assert grade(sandbox, HOSTILE[name], SUITE, LIMITS).reason.startswith(reason)


def test_a_solution_that_was_killed_from_outside_is_missing(sandbox: Sandbox) -> None:
    killer = threading.Timer(0.7, _kill_innermost)
    killer.start()
    found = grade(sandbox, "import time\ndef f(n): time.sleep(3)", SUITE, LIMITS)
    killer.join()
    assert found.verdict is Verdict.MISSING, found
    assert "killed from outside" in found.reason


def _kill_innermost() -> None:
    """Kill the innermost descendants of this process: the solution, as nothing else runs."""
    inner = level = [str(os.getpid())]
    while level:
        inner, level = level, [child for pid in level for child in _children(pid)]
    for pid in inner:
        os.kill(int(pid), signal.SIGKILL)


def _children(pid: str) -> list[str]:
    with suppress(OSError):
        return [child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    return []


def test_tests_decide_by_themselves_what_needs_one_process(sandbox: Sandbox) -> None:
    source = (
        "import unittest\nclass Own:\n    x = 4\nclass T(unittest.TestCase):\n    x = 5\n"
        "    def test_a(self): self.assertEqual(f(Own()), 4)\n    def test_b(self): self.assertEqual(f(T), 5)\n"
    )
    suite = UnitTestSuite(source, "f")
    assert grade(sandbox, "def f(o): return o.x", suite, LIMITS).verdict is Verdict.RIGHT
    assert grade(sandbox, "def f(o): return 4", suite, LIMITS).verdict is Verdict.WRONG
    assert grade(sandbox, "def f(o): return lambda: o", suite, LIMITS).verdict is Verdict.WRONG
