"""Outcomes of tests: only a test that returned has passed."""

from __future__ import annotations

import types
import unittest
import unittest.case

from z1.sandbox.inside import outcomes


def make_cases() -> tuple[type[unittest.TestCase], type[unittest.TestCase]]:
    class Mixed(unittest.TestCase):
        def test_good(self) -> None: ...

        def test_parts(self) -> None:
            for n in range(3):
                with self.subTest(n):
                    self.assertNotEqual(n, 1)  # noqa: PT009

        def test_skipped(self) -> None:
            self.skipTest("later")

        def test_broken(self) -> None:
            raise KeyError("x")

        def test_stopped(self) -> None:
            raise unittest.case._ShouldStop  # type: ignore[attr-defined]

        def test_shared(self) -> None:
            raise outcomes.NotSeparableError("an argument")

        @unittest.expectedFailure
        def test_expected(self) -> None:
            raise ValueError

        @unittest.expectedFailure
        def test_unexpected(self) -> None: ...

    class Broken(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            raise ValueError

        def test_a(self) -> None: ...

    return Mixed, Broken


def test_each_outcome_is_recorded() -> None:
    module = types.ModuleType("tests")
    module.Mixed, module.Broken = make_cases()  # type: ignore[attr-defined]
    found = {name: outcome for name, (outcome, _) in outcomes.run_tests(module).items()}
    assert found == {
        "Mixed.test_good": "ok",
        "Mixed.test_parts": "fail",
        "Mixed.test_skipped": "skip",
        "Mixed.test_broken": "error",
        "Mixed.test_stopped": "not run",
        "Mixed.test_shared": "shared",
        "Mixed.test_expected": "ok",
        "Mixed.test_unexpected": "fail",
        "Broken.test_a": "not run",
    }
