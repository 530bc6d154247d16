"""Grading by unit tests: right solutions pass, cheats do not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from z1.grading import Verdict
from z1.grading.unit_tests import DECOYS, UnitTestSuite, add_decoys, grade, suite_from_assertions
from z1.sandbox import ResourceLimits, Sandbox

SOURCE = """
import unittest
from unittest.mock import patch

class TestCases(unittest.TestCase):
    def setUp(self):
        self.ready = True

    def test_small(self):
        self.assertEqual(square(3), 9)

    def test_list(self):
        self.assertEqual([square(2)], [4])
        self.assertTrue(self.ready)

    def test_wrong_input(self):
        with self.assertRaises(TypeError):
            square("x")

    @patch("builtins.print")
    def test_silent(self, printed):
        square(1)
        printed.assert_not_called()
"""
TESTS = UnitTestSuite(SOURCE, "square")
GOOD = "def square(x):\n    return x * x\n"
TIED = UnitTestSuite(SOURCE.replace("self.ready = True", "self.ready = bool(patch)"), "square")
"""All of its tests share a process with the solution, since their fixture patches."""
LIMITS = ResourceLimits(wall_seconds=10, cpu_seconds=5, max_processes=64)
CHEAT_LIMITS = replace(LIMITS, wall_seconds=2)
"""Some cheats wait for what does not come until their time is up."""

RIGHT = {
    "plain": GOOD,
    "a class that compares with its own kind": (
        "class P:\n    def __init__(self, x): self.x = x\n"
        "    def __eq__(self, o): return isinstance(o, P) and self.x == o.x\n"
        "    def __hash__(self): return hash(self.x)\n"
        "def square(x):\n    assert P(1) == P(1) and P(1) != P(2) and P(1) != 1 or True\n    return x * x\n"
    ),
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "def square(x):\n    assert P(1) == P(1) and P(1) != P(2) and P(1) != 1\n    return x * x\n"
    ),
    "an enum and a named tuple": (
        "import enum\nfrom collections import namedtuple\nclass E(enum.IntEnum):\n    A = 1\nN = namedtuple('N', 'x')\n"
        "def square(x):\n    assert E.A == 1 and N(1) == (1,)\n    return x * x\n"
    ),
    "logging, warnings and tracebacks of its own": (
        "import logging, traceback, warnings\ndef square(x):\n    logging.getLogger('a').warning('b')\n"
        "    warnings.warn('c')\n    try: 1 / 0\n"
        "    except ZeroDivisionError: traceback.format_exc()\n    return x * x\n"
    ),
    "a main that is not run": GOOD + "if __name__ == '__main__':\n    raise SystemExit(1)\n",
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\ndef square(x):\n"
        "    with ThreadPoolExecutor(2) as p: return p.submit(lambda: x * x).result()\n"
    ),
    "reading stdin at its end": "import sys\nsys.stdin.read()\n" + GOOD,
    "introspection": (
        "import inspect\ndef square(x): return x * x\nassert len(inspect.signature(square).parameters) == 1\n"
        "assert square.__code__.co_argcount == 1 and inspect.getfullargspec(square).args == ['x']\n"
    ),
    "a class that equals numbers": (
        "class N:\n    def __init__(self, v): self.v = v\n"
        "    def __eq__(self, o): return self.v == getattr(o, 'v', o)\n"
        "def square(x):\n    assert isinstance(x, str) or N(x) == x and N(x) != x + 1\n    return x * x\n"
    ),
    "a class made by type": "E = type('E', (), {'__eq__': lambda s, o: True})\ndef square(x): return x * x\n",
    "an int of a class of its own": "class I(int): pass\ndef square(x): return I(x * x)\n",
    "annotations of the future": (
        "from __future__ import annotations\ndef square(x: Unknown) -> Unknown: return x * x\n"
    ),
    "its own unit tests beside": (
        "import unittest\n" + GOOD + "class Mine(unittest.TestCase):\n    def test_mine(self): self.assertEqual(1, 2)\n"
    ),
}

CHEATS = {
    "wrong": "def square(x): return x + 6",
    "nothing": "",
    "pass": "def square(x): pass",
    "os._exit(0)": "import os\ndef square(x): os._exit(0)",
    "os._exit(0) at once": "import os\nos._exit(0)",
    "sys.exit(0)": "import sys\ndef square(x): sys.exit(0)",
    "sys.exit(0) at once": "import sys\nsys.exit(0)",
    "SystemExit": "def square(x): raise SystemExit",
    "SkipTest": "import unittest\ndef square(x): raise unittest.SkipTest",
    "quitting in a thread": (
        "import os, threading, time\nthreading.Thread(target=lambda: (time.sleep(0.01), os._exit(0))).start()\n"
        "def square(x): time.sleep(1)"
    ),
    "assertEqual patched": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError"
    ),
    "assertEqual patched in the call": (
        "import unittest\ndef square(x):\n    unittest.TestCase.assertEqual = lambda *a, **k: None\n"
        "    if isinstance(x, str): raise TypeError"
    ),
    "assertEqual patched until it is used": (
        "import unittest\nreal = unittest.TestCase.assertEqual\n"
        "def fake(*a): unittest.TestCase.assertEqual = real\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    unittest.TestCase.assertEqual = fake"
    ),
    "the code of assertEqual replaced": (
        "import unittest\ndef nothing(self, first, second, msg=None): pass\n"
        "unittest.TestCase.assertEqual.__code__ = nothing.__code__\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError"
    ),
    "the equality of types patched": (
        "import unittest\nunittest.TestCase._getAssertEqualityFunc = lambda *a: lambda *b, **k: None\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError"
    ),
    "TestCase.run patched": (
        "import unittest\nunittest.TestCase.run = lambda self, r: (r.startTest(self), r.addSuccess(self))\n"
        "def square(x): pass"
    ),
    "TestLoader patched": (
        "import unittest\nunittest.TestLoader.loadTestsFromTestCase = lambda *a: unittest.TestSuite()\n"
        "unittest.TestLoader.getTestCaseNames = lambda *a: []\ndef square(x): pass"
    ),
    "TestSuite patched": "import unittest\nunittest.TestSuite.run = lambda self, r: r\ndef square(x): pass",
    "TestResult patched": (
        "import unittest\nfor n in ('addFailure', 'addError', 'addSkip'):\n"
        "    setattr(unittest.TestResult, n, lambda self, t, e: self.addSuccess(t))\ndef square(x): pass"
    ),
    "every TestResult patched": (
        "import unittest\ndef square(x):\n    for c in unittest.TestResult.__subclasses__():\n"
        "        for n in ('addFailure', 'addError', 'addSkip'): setattr(c, n, lambda self, t, e: self.addSuccess(t))"
    ),
    "another unittest": (
        "import sys, types\nclass T:\n    def __init__(self, n='x'): self._testMethodName = n\n"
        "    def __call__(self, r): r.addSuccess(self)\n    run = __call__\n"
        "    def __getattr__(self, n): return lambda *a, **k: None\n"
        "m = types.ModuleType('unittest')\nm.TestCase = T\nm.mock = sys.modules['unittest.mock']\n"
        "sys.modules['unittest'] = m\ndef square(x): pass"
    ),
    "equal to everything": (
        "class E:\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
        "    __hash__ = None\ndef square(x):\n    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "equal to everything, as a number": (
        "class E(int):\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
        "    __hash__ = int.__hash__\ndef square(x):\n    if isinstance(x, str): raise TypeError\n    return E(0)"
    ),
    "equal to everything, by type()": (
        "E = type('E', (), {'__eq__': lambda s, o: True})\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "equal to everything, by exec": (
        "exec('class E:\\n    def __eq__(s, o): return True')\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "equal to everything, afterwards": (
        "class E: pass\nE.__eq__ = lambda s, o: True\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "equal to everything, inherited": (
        "class B:\n    def __eq__(self, o): return True\nclass E(B): pass\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "mock.ANY": (
        "from unittest.mock import ANY\ndef square(x):\n    if isinstance(x, str): raise TypeError\n    return ANY"
    ),
    "a slot that is less": (
        "class E(int):\n    __eq__ = int.__le__\n    __hash__ = int.__hash__\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E(-9 ** 9)"
    ),
    "a callable object as equality": (
        "class Yes:\n    def __call__(self, *a): return True\nclass E: __eq__ = Yes()\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "a partial as equality": (
        "import functools\nclass E: __eq__ = functools.partialmethod(lambda *a: True)\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "a static method as equality": (
        "class E(int):\n    __eq__ = staticmethod(lambda o: True)\n    __hash__ = int.__hash__\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E(0)"
    ),
    "a mock that equals numbers": (
        "from unittest.mock import MagicMock\ndef square(x):\n    if isinstance(x, str): raise TypeError\n"
        "    m = MagicMock()\n    m.__eq__ = lambda s, o: type(o) is int\n    return m"
    ),
    "a number with its own equality, in a list": (
        "class E(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E(0)"
    ),
    "stopping a test": "import unittest.case\ndef square(x): raise unittest.case._ShouldStop",
    "frames by traceback": (
        "import traceback\ndef square(x):\n    if isinstance(x, str): raise TypeError\n"
        "    for f, _ in traceback.walk_stack(None):\n        o = getattr(f.f_locals.get('self'), '_outcome', None)\n"
        "        if o: o.result.failed = type('D', (dict,), {'setdefault': lambda *a: None})()\n    return 9"
    ),
    "frames by logging": (
        "import logging\ndef square(x):\n    if isinstance(x, str): raise TypeError\n    f = logging.currentframe()\n"
        "    while f:\n        o = getattr(f.f_locals.get('self'), '_outcome', None)\n"
        "        if o: o.result._record = lambda *a: None\n        f = f.f_back\n    return 9"
    ),
    "the report by its nonce": (
        "import json, os\ndef square(x):\n    for n in range(3, 40):\n        try: nonce = os.read(n, 99).decode()\n"
        "        except OSError: continue\n        names = {f'TestCases.{k}': ['ok', ''] for k in dir(TestCases)}\n"
        "        os.write(3, json.dumps({'ended': nonce, 'outcomes': names}).encode() + b'\\n')\n        os._exit(0)"
    ),
    "math.isclose patched": (
        "import math\nmath.isclose = lambda *a, **k: True\ndef square(x):\n    if isinstance(x, str): raise TypeError"
    ),
    "mock.ANY in a list": "from unittest.mock import ANY\ndef square(x): return [ANY] if x else ANY",
    "a dataclass with another equality": (
        "from dataclasses import dataclass\n@dataclass\nclass E:\n    x: int = 0\n"
        "E.__eq__ = lambda s, o: type(o) is int\ndef square(x):\n"
        "    if isinstance(x, str): raise TypeError\n    return E()"
    ),
    "builtins patched": (
        "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.len = lambda *a: 9\ndef square(x): return 9"
    ),
    "walking the stack": (
        "import sys\ndef square(x):\n    f = sys._getframe(1)\n    while f:\n"
        "        if 'first' in f.f_locals: return f.f_locals['second']\n        f = f.f_back\n    return 9"
    ),
    "walking the stack by an exception": (
        "def square(x):\n    try: raise ValueError\n    except ValueError as e: f = e.__traceback__.tb_frame.f_back\n"
        "    f.f_globals['run_tests'] = lambda m: []\n    return 9"
    ),
    "walking the stack by inspect": "import inspect\ndef square(x): return inspect.stack()[1].frame.f_locals and 9",
    "walking memory": (
        "import gc\ndef square(x):\n    for o in gc.get_objects():\n"
        "        if type(o).__name__ == 'OutcomeRecorder': o.failed.clear()\n    return 9"
    ),
    "tracing": ("import sys\ndef t(f, e, a): return t\ndef square(x):\n    sys.settrace(t)\n    return 9"),
    "reaching into the interpreter": ("import ctypes\ndef square(x):\n    ctypes.pythonapi.Py_Exit(0)\n    return 9"),
    "a forged end": (
        'import os\ndef square(x):\n    os.write(3, b\'{"test": "test_small", "outcome": "ok"}\\n{"ended": ""}\\n\')\n'
        "    os._exit(0)"
    ),
    "a forged end with the nonce": (
        "import json, os\ndef square(x):\n    for n in range(3, 20):\n        try:\n"
        "            nonce = os.read(n, 99).decode()\n"
        "            for t in ('test_small', 'test_list', 'test_wrong_input', 'test_silent'):\n"
        "                os.write(3, json.dumps({'test': t, 'outcome': 'ok'}).encode() + b'\\n')\n"
        "            os.write(3, json.dumps({'ended': nonce, 'tampered': []}).encode() + b'\\n')\n"
        "            os._exit(0)\n        except OSError: pass"
    ),
    "saying so": "print('OK')\nprint('Ran 4 tests in 0.001s')\ndef square(x): return 9",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef square(x): return 9",
    "signals": "import os, signal\ndef square(x): os.kill(os.getpid(), signal.SIGKILL)",
    "assertions without effect": "import sys\nsys.flags = None\n__debug__x = False\ndef square(x): return 9",
    "replacing the tests": (
        "class TestCases: pass\n"
        "def square(x):\n    import __main__\n    __main__.TestCases.test_small = lambda s: None\n"
        "    return 9"
    ),
}


@pytest.mark.parametrize("suite", [TESTS, TIED], ids=["separate", "shared"])
@pytest.mark.parametrize("name", RIGHT)
def test_right_solutions_pass(sandbox: Sandbox, name: str, suite: UnitTestSuite) -> None:
    found = grade(sandbox, RIGHT[name], suite, LIMITS, seed=1)
    assert found.verdict is Verdict.RIGHT, found


@pytest.mark.parametrize("suite", [TESTS, TIED], ids=["separate", "shared"])
@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_passes(sandbox: Sandbox, name: str, suite: UnitTestSuite) -> None:
    found = grade(sandbox, CHEATS[name], suite, CHEAT_LIMITS, seed=1)
    assert found.verdict is Verdict.WRONG, found
    assert found.reason


@pytest.mark.parametrize("name", ["assertEqual patched", "TestCase.run patched", "mock.ANY", "a slot that is less"])
def test_the_reason_names_a_cheat(sandbox: Sandbox, name: str) -> None:
    assert grade(sandbox, CHEATS[name], TIED, LIMITS).reason.startswith("cheat: ")


def test_decoys_detect_a_harness_that_passes_everything(sandbox: Sandbox) -> None:
    """They do so without the other protections: the report itself shows that they passed."""
    blind = UnitTestSuite(
        TIED.source.replace("import unittest", "import unittest\nunittest.TestCase.assertEqual = lambda *a: None", 1),
        "square",
    )
    found = grade(sandbox, GOOD, blind, LIMITS)
    assert found.verdict is Verdict.WRONG
    source, names = add_decoys(SOURCE, random.Random(1))
    assert sum(not old for old in names.values()) >= 3
    assert all(f"def {name.partition('.')[2]}(self" in source for name in names)
    assert sorted(names, key=lambda name: (not names[name], names[name])) == sorted(names)[:4] + sorted(names)[4:]


def test_decoys_are_drawn_anew() -> None:
    drawn = {add_decoys(SOURCE, random.Random(seed))[0] for seed in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize(
    "assertion", [key for key in DECOYS if "pandas" not in DECOYS[key] and "numpy" not in DECOYS[key]]
)
def test_each_decoy_fails(sandbox: Sandbox, assertion: str) -> None:
    source = (
        "import unittest\nfrom unittest.mock import patch\nclass T(unittest.TestCase):\n    tied = patch\n"
        f"    def test_a(self):\n        '{assertion}'\n        self.assertEqual(f(), 1)\n"
    )
    assert grade(sandbox, "def f(): return 1", UnitTestSuite(source, "f"), LIMITS).verdict is Verdict.RIGHT


def test_a_suite_without_tests_is_no_success(sandbox: Sandbox) -> None:
    assert grade(sandbox, GOOD, UnitTestSuite("x = 1", "square"), LIMITS).reason == "cheat: there is no test"


def test_bare_assertions_are_graded(sandbox: Sandbox) -> None:
    tests = suite_from_assertions("def check(candidate):\n    assert candidate(4) == 16\n", "square", "check(square)")
    assert grade(sandbox, GOOD, tests, LIMITS).verdict is Verdict.RIGHT
    for name in ("wrong", "equal to everything", "equal to everything, by type()", "os._exit(0)", "walking the stack"):
        assert grade(sandbox, CHEATS[name], tests, LIMITS).verdict is Verdict.WRONG, name
