"""Do these unit tests pass, and can that be believed?

Solution and tests run in one process of the sandbox (see `inside/units.py` for what is done there), so a solution
could make every test pass without solving anything: by patching the tools of testing, by ending early, by claiming to
be equal to everything. Therefore tests that must fail are mixed in among the real ones, in the same classes, under
names like theirs and drawn anew each time; a run is right when every real test passes and every one of these fails.
Which is which never enters the sandbox. The end is known by a nonce and not by an exit status.
"""

from __future__ import annotations

import ast
import json
import random
import secrets
from dataclasses import dataclass
from typing import Any, TypeGuard

from z1.grading.stdio import badly
from z1.grading.verdict import Grade, Verdict
from z1.sandbox import Job, Outcome, ResourceLimits, Sandbox, SandboxFault

LIMITS = ResourceLimits(
    wall_seconds=120.0,
    cpu_seconds=90.0,
    memory_bytes=6 << 30,
    address_space_bytes=64 << 30,
    file_bytes=256 << 20,
    max_processes=256,
)
"""BigCodeBench allows 240 seconds by the clock; its libraries map much and use little of it."""

FAILING: dict[str, str] = {
    "assertEqual": "self.assertEqual({a}, {b})",
    "assertTrue": "self.assertTrue({a} == {b})",
    "assertFalse": "self.assertFalse({a} != {b})",
    "assertIsNone": "self.assertIsNone({a})",
    "assertIsNotNone": "self.assertIsNotNone(None)",
    "assertIn": "self.assertIn({a}, [{b}])",
    "assertNotIn": "self.assertNotIn({a}, [{a}])",
    "assertIsInstance": "self.assertIsInstance({a}, str)",
    "assertGreater": "self.assertGreater(min({a}, {b}), max({a}, {b}))",
    "assertGreaterEqual": "self.assertGreaterEqual(min({a}, {b}), max({a}, {b}))",
    "assertLess": "self.assertLess(max({a}, {b}), min({a}, {b}))",
    "assertLessEqual": "self.assertLessEqual(max({a}, {b}), min({a}, {b}))",
    "assertAlmostEqual": "self.assertAlmostEqual({a}, {b})",
    "assertNotEqual": "self.assertNotEqual({a}, {a})",
    "assertListEqual": "self.assertListEqual([{a}], [{b}])",
    "assertDictEqual": "self.assertDictEqual({{1: {a}}}, {{1: {b}}})",
    "assertCountEqual": "self.assertCountEqual([{a}], [{b}])",
    "assertRaises": "self.assertRaises(ValueError, int, {a})",
    "with self.assertRaises": "with self.assertRaises(ValueError): int({a})",
    "assert_frame_equal": "import pandas as p; p.testing.assert_frame_equal(p.DataFrame([{a}]), p.DataFrame([{b}]))",
    "assert_series_equal": "import pandas as p; p.testing.assert_series_equal(p.Series([{a}]), p.Series([{b}]))",
    "assert_array_equal": "import numpy; numpy.testing.assert_array_equal([{a}], [{b}])",
    "assert_allclose": "import numpy; numpy.testing.assert_allclose([{a}], [{b}])",
    "assert_called": "import unittest.mock; unittest.mock.Mock().assert_called()",
    "assert ": "assert {a} == {b}",
}
"""By what a test says when it asserts: a statement that says it in vain. {a} and {b} are different numbers."""


@dataclass(frozen=True, slots=True)
class UnitTestSuite:
    """Unit tests: source that follows the solution's in the same module, and the name of the function under test."""

    source: str
    name: str


def suite_from_assertions(source: str, name: str, body: str) -> UnitTestSuite:
    """Bare assertions, such as HumanEval's, as a unit test: `source` once, then the statements of `body`."""
    lines = "\n".join("        " + line for line in body.splitlines() if line.strip())
    case = f"import unittest\nclass TestCases(unittest.TestCase):\n    def test_all(self):\n{lines}\n"
    return UnitTestSuite(f"{source}\n{case}", name)


def grade(
    sandbox: Sandbox, code: str, tests: UnitTestSuite, limits: ResourceLimits = LIMITS, seed: int | None = None
) -> Grade:
    """Run `tests` on `code`; `seed` makes the tests that must fail the same ones again."""
    source, vain = cross_examined(tests.source, random.Random(secrets.randbits(64) if seed is None else seed))
    real = [name for name in _names(source) if name not in vain]
    nonce = secrets.token_hex(16)
    extra = {"tests": source, "name": tests.name}
    try:
        outcome = sandbox.run(Job("units", code, nonce.encode(), extra, limits, network=True))
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    why = _complaint(outcome, nonce, real, vain)
    return Grade(Verdict.WRONG, why) if why else Grade(Verdict.RIGHT)


def cross_examined(source: str, chance: random.Random) -> tuple[str, set[str]]:
    """`source` with tests in it that must fail, one for each way in which it asserts, and the names of these."""
    tree = ast.parse(source)
    wanted = [statement for says, statement in FAILING.items() if says in source]
    vain: set[str] = set()
    for case in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        mine = [node.name for node in case.body if _is_test(node)]
        for statement in wanted if mine else []:
            name = f"{max(mine)}_{chance.randrange(16**4):04x}"  # behind all others, which may draw on what is left
            a, b = chance.sample(range(2, 1000), 2)
            text = f"class _:\n    def {name}(self):\n        {statement.format(a=a, b=b)}"
            made = ast.parse(text).body[0]
            assert isinstance(made, ast.ClassDef)
            case.body.insert(chance.randrange(len(case.body) + 1), made.body[0])
            vain.add(name)
    return ast.unparse(ast.fix_missing_locations(tree)), vain


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _names(source: str) -> list[str]:
    cases = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return sorted({node.name for case in cases for node in case.body if _is_test(node)})


def _complaint(outcome: Outcome, nonce: str, real: list[str], vain: set[str]) -> str:
    lines, last = _testimony(outcome.result)
    if not real:
        return "cheat: there was no test"
    if last is None:
        return badly(outcome) or "runtime: it ended before the tests did"
    if last.get("ended") != nonce:
        return "cheat: the nonce is not the one that was given"
    if last.get("tampered"):
        return f"cheat: {', '.join(map(str, last['tampered']))}"
    return _failure({str(line.get("test")): line for line in lines}, real, vain)


def _failure(heard: dict[str, dict[str, Any]], real: list[str], vain: set[str]) -> str:
    if fooled := [name for name in sorted(vain) if heard.get(name, {}).get("outcome") not in ("fail", "error")]:
        return f"cheat: {len(fooled)} of {len(vain)} tests that must fail passed"
    for name in real:
        line = heard.get(name, {})
        if line.get("outcome") != "ok":
            return f"wrong answer: {name} {line.get('outcome', 'was not run')}, {line.get('why', '')}"[:300]
    return ""


def _testimony(data: bytes) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The lines about tests, and the last one, if it came."""
    lines: list[dict[str, Any]] = []
    for text in data.split(b"\n")[:-1]:
        try:
            line = json.loads(text)
        except ValueError:
            return lines, None
        if not isinstance(line, dict):
            return lines, None
        if "ended" in line:
            return lines, line
        lines.append(line)
    return lines, None
