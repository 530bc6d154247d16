"""Grades solutions by unit tests, including solutions that try to cheat.

Tests that need only what functions return run in a process of their own, and the solution in another
(`sandbox/inside/run_separate_tests.py`): what decides is out of the solution's reach. Tests that patch modules or use
libraries (`separation.py`) share a process with the solution (`run_shared_tests.py`), so it could make them pass
without solving anything: by patching the test library, by ending early, by returning objects that are equal to
everything. Therefore decoy tests, which must fail, are mixed in among these: in the same classes, with similar names,
drawn anew for each run. A solution is right if every real test passes and every decoy fails. The sandbox does not know
which tests are decoys. The end of a run is confirmed by a nonce, not by an exit status.
"""

from __future__ import annotations

import ast
import json
import random
import secrets
from dataclasses import dataclass, replace
from typing import Any

from z1.grading.separation import find_separable, is_test, needs_libraries
from z1.grading.stdio import describe_failure
from z1.grading.verdict import Grade, Verdict
from z1.sandbox import Job, ProgramEnd, ResourceLimits, Sandbox, SandboxFault
from z1.sandbox.inside.outcomes import ERROR, FAIL, OK, SHARED

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


MODULE = "solution"

PROGRAM = """
import sys, types
__made = types.ModuleType({module!r})
sys.modules[{module!r}] = __made
exec(compile({code!r}, __file__, "exec", dont_inherit=True), __made.__dict__)
{imports}
"""
"""Makes the module that the tests import. It has the file name of the solution, by which `run_shared_tests` recognises
the solution's code.
"""


@dataclass(frozen=True, slots=True)
class UnitTestSuite:
    """Unit tests: source that is run after the solution, and the name of the function under test.

    `setup` is source of the task, such as imports and helpers, that is run before both and is no part of the solution.
    `imports` are the names, as `name` or `name as other`, that the tests import from the solution, which is then a
    module `solution` of its own; None if tests and solution share their names.
    """

    source: str
    name: str
    setup: str = ""
    imports: tuple[str, ...] | None = None


def suite_from_assertions(source: str, name: str, body: str, setup: str = "") -> UnitTestSuite:
    """Bare assertions, such as HumanEval's, as a unit test: `source` once, then the statements of `body`."""
    lines = "\n".join("        " + line for line in body.splitlines() if line.strip())
    case = f"import unittest\nclass TestCases(unittest.TestCase):\n    def test_all(self):\n{lines}\n"
    return UnitTestSuite(f"{source}\n{case}", name, setup)


def grade(
    sandbox: Sandbox, code: str, tests: UnitTestSuite, limits: ResourceLimits = LIMITS, seed: int | None = None
) -> Grade:
    """Run `tests` on `code`; a `seed` makes the decoys reproducible."""
    names = find_tests(tests.source)
    if not names:
        return Grade(Verdict.WRONG, "cheat: there is no test")
    separable = set() if needs_libraries(tests.setup) else find_separable(tests.source)
    try:
        reason, shared = "", names
        if separable:
            reason, shared = _run_separate(sandbox, code, tests, limits, separable)
        if shared and not reason:
            rng = random.Random(secrets.randbits(64) if seed is None else seed)
            reason = _run_shared(sandbox, code, replace(tests, source=keep_tests(tests.source, shared)), limits, rng)
    except SandboxFault as fault:
        return Grade(Verdict.MISSING, str(fault))
    return Grade(Verdict.WRONG, reason) if reason else Grade(Verdict.RIGHT)


def _run_separate(
    sandbox: Sandbox, code: str, tests: UnitTestSuite, limits: ResourceLimits, separable: set[str]
) -> tuple[str, set[str]]:
    """Why the solution is wrong ("" if the tests passed), and the tests that have to share a process with it."""
    nonce = secrets.token_hex(16)
    shared = find_tests(tests.source) - separable
    imports = f"from {MODULE} import {', '.join(tests.imports)}\n" if tests.imports else ""
    given = {"nonce": nonce, "tests": imports + keep_tests(tests.source, separable), "name": tests.name}
    extra = {"setup": tests.setup, "module": "__test__" if tests.imports is None else MODULE}
    job = Job("separate_tests", code, json.dumps(given).encode(), extra, limits, network=True)
    outcome = sandbox.run(job)
    report = _parse_report(outcome.result, nonce)
    if report is None:
        return describe_failure(outcome) or "runtime: the program ended before the tests did", set()
    if report.get("killed"):
        raise SandboxFault("a program was lost: it was killed from outside (SIGKILL)")
    if "shared" in report:
        return "", shared | separable
    outcomes = report["outcomes"]
    tied = {name for name, (found, _) in outcomes.items() if found == SHARED}
    return _find_failed_test(outcomes, separable - tied), shared | (tied & separable)


def _run_shared(sandbox: Sandbox, code: str, tests: UnitTestSuite, limits: ResourceLimits, rng: random.Random) -> str:
    """Why the solution is wrong; "" if all tests passed and all decoys failed."""
    source, names = add_decoys(tests.source, rng)
    nonce = secrets.token_hex(16)
    extra = {"tests": source, "name": tests.name, "setup": tests.setup, "module": "__test__"}
    if tests.imports is not None:
        lines = [f"from {MODULE} import {name}" for name in ("*", *tests.imports)]
        code = PROGRAM.format(module=MODULE, code=code, imports="\n".join(lines))
    outcome = sandbox.run(Job("shared_tests", code, nonce.encode(), extra, limits, network=True))
    report = _parse_report(outcome.result, nonce)
    if report is None:
        if outcome.end is ProgramEnd.EXITED and outcome.result:
            return "cheat: the report of the tests is forged"
        return describe_failure(outcome) or "runtime: the program ended before the tests did"
    if report.get("tampered"):
        return f"cheat: {report['tampered']}"[:300]
    outcomes = {old: report["outcomes"].get(new, ["was not run", ""]) for new, old in names.items() if old}
    decoys = [report["outcomes"].get(new, [""])[0] for new, old in names.items() if not old]
    if passed := sum(outcome not in (FAIL, ERROR) for outcome in decoys):
        return f"cheat: {passed} of {len(decoys)} tests that must fail passed"
    return _find_failed_test(outcomes, {*outcomes})


def add_decoys(source: str, rng: random.Random) -> tuple[str, dict[str, str]]:
    """`source` with decoys, one in each test class for each kind of assertion in the source, and all tests renamed, so
    that no name tells which they are; and for each new name, as `Class.method`, the old one, "" for a decoy.
    """
    tree = ast.parse(source)
    statements = [statement for kind, statement in DECOYS.items() if kind in source]
    names: dict[str, str] = {}
    for case in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        tests = {node.name: node for node in case.body if is_test(node)}
        for number, old in enumerate(sorted(tests)):
            tests[old].name = _draw_name(number, rng)
            names[f"{case.name}.{tests[old].name}"] = f"{case.name}.{old}"
        for number, statement in enumerate(statements if tests else [], len(tests)):
            name = _draw_name(number, rng)  # sorted last: real tests keep their random state
            a, b = rng.sample(range(2, 1000), 2)
            text = f"class _:\n    def {name}(self):\n        {statement.format(a=a, b=b)}"
            made = ast.parse(text).body[0]
            assert isinstance(made, ast.ClassDef)
            case.body.insert(rng.randrange(len(case.body) + 1), made.body[0])
            names[f"{case.name}.{name}"] = ""
    return ast.unparse(ast.fix_missing_locations(tree)), names


def _draw_name(number: int, rng: random.Random) -> str:
    return f"test_{number:03d}_{rng.randrange(16**4):04x}"


def find_tests(source: str) -> set[str]:
    """The tests of `source`, as `Class.method`."""
    cases = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return {f"{case.name}.{node.name}" for case in cases for node in case.body if is_test(node)}


def keep_tests(source: str, kept: set[str]) -> str:
    """`source` without the tests that are not in `kept`."""
    tree = ast.parse(source)
    for case in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        body = [node for node in case.body if not is_test(node) or f"{case.name}.{node.name}" in kept]
        case.body = body or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))


def _find_failed_test(outcomes: dict[str, Any], names: set[str]) -> str:
    for name in sorted(names):
        outcome, reason = (*outcomes.get(name, ["was not run"]), "")[:2]
        if outcome != OK:
            return f"wrong answer: {name} {outcome}, {reason}"[:300]
    return ""


def _parse_report(data: bytes, nonce: str) -> dict[str, Any] | None:
    """The report with the `nonce`, None if it is missing; a solution may have written lines of its own."""
    for text in data.split(b"\n"):
        if nonce.encode() not in text:
            continue
        try:
            report = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(report, dict) and report.get("ended") == nonce and _is_report(report):
            return report
    return None


def _is_report(report: dict[str, Any]) -> bool:
    outcomes = report.get("outcomes", {})
    return isinstance(outcomes, dict) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in outcomes.values()
    )
