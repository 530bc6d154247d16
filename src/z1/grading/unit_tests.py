"""Grades solutions by unit tests, including solutions that try to cheat.

Solution and tests run in one process of the sandbox (see `sandbox/inside/run_unit_tests.py`), so a solution could make
every test pass without solving anything: by patching the test library, by ending early, by returning objects that are
equal to everything. Therefore decoy tests, which must fail, are mixed in among the real ones: in the same classes, with
similar names, drawn anew for each run. A solution is right if every real test passes and every decoy fails. The sandbox
does not know which tests are decoys. The end of the run is confirmed by a nonce, not by an exit status.
"""

from __future__ import annotations

import ast
import json
import random
import secrets
from dataclasses import dataclass
from typing import Any, TypeGuard

from z1.grading.stdio import describe_failure
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
"""BigCodeBench allows 240 seconds of wall time. Its libraries reserve much address space and use little of it."""

DECOYS: dict[str, str] = {
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
"""For each kind of assertion in the tests: a statement of that kind that fails. {a} and {b} are different numbers."""


@dataclass(frozen=True, slots=True)
class UnitTestSuite:
    """Unit tests: source that is run after the solution in the same module, and the name of the function under test."""

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
    """Run `tests` on `code`; a `seed` makes the decoys reproducible."""
    source, decoys = add_decoys(tests.source, random.Random(secrets.randbits(64) if seed is None else seed))
    real = [name for name in _test_names(source) if name not in decoys]
    nonce = secrets.token_hex(16)
    extra = {"tests": source, "name": tests.name}
    try:
        outcome = sandbox.run(Job("unit_tests", code, nonce.encode(), extra, limits, network=True))
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    reason = _find_fault(outcome, nonce, real, decoys)
    return Grade(Verdict.WRONG, reason) if reason else Grade(Verdict.RIGHT)


def add_decoys(source: str, rng: random.Random) -> tuple[str, set[str]]:
    """`source` with decoys, one in each test class for each kind of assertion in the source; and their names."""
    tree = ast.parse(source)
    statements = [statement for kind, statement in DECOYS.items() if kind in source]
    decoys: set[str] = set()
    for case in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        names = [node.name for node in case.body if _is_test(node)]
        for statement in statements if names else []:
            name = f"{max(names)}_{rng.randrange(16**4):04x}"  # sorted last: real tests keep their random state
            a, b = rng.sample(range(2, 1000), 2)
            text = f"class _:\n    def {name}(self):\n        {statement.format(a=a, b=b)}"
            made = ast.parse(text).body[0]
            assert isinstance(made, ast.ClassDef)
            case.body.insert(rng.randrange(len(case.body) + 1), made.body[0])
            decoys.add(name)
    return ast.unparse(ast.fix_missing_locations(tree)), decoys


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _test_names(source: str) -> list[str]:
    cases = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return sorted({node.name for case in cases for node in case.body if _is_test(node)})


def _find_fault(outcome: Outcome, nonce: str, real: list[str], decoys: set[str]) -> str:
    """Why a run is wrong; "" if it is right."""
    lines, last = _parse_report(outcome.result)
    if not real:
        return "cheat: there is no test"
    if last is None:
        return describe_failure(outcome) or "runtime: the program ended before the tests did"
    if last.get("ended") != nonce:
        return "cheat: wrong nonce at the end of the report"
    if last.get("tampered"):
        return f"cheat: {last['tampered']}"[:300]
    return _find_failed_test({str(line.get("test")): line for line in lines}, real, decoys)


def _find_failed_test(lines: dict[str, dict[str, Any]], real: list[str], decoys: set[str]) -> str:
    if passed := [name for name in sorted(decoys) if lines.get(name, {}).get("outcome") not in ("fail", "error")]:
        return f"cheat: {len(passed)} of {len(decoys)} tests that must fail passed"
    for name in real:
        line = lines.get(name, {})
        if line.get("outcome") != "ok":
            return f"wrong answer: {name} {line.get('outcome', 'was not run')}, {line.get('reason', '')}"[:300]
    return ""


def _parse_report(data: bytes) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The lines about tests, and the last line of the report, None if it is missing."""
    lines: list[dict[str, Any]] = []
    for text in data.split(b"\n")[:-1]:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return lines, None
        if not isinstance(line, dict):
            return lines, None
        if "ended" in line:
            return lines, line
        lines.append(line)
    return lines, None
