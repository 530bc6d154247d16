"""The harness of unit tests: detected tampering, and recorded outcomes."""

from __future__ import annotations

import types
import unittest

import pytest

from z1.sandbox.inside import run_unit_tests


def test_a_snapshot_detects_replaced_methods_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = run_unit_tests.LibrarySnapshot()
    assert snapshot.changes() == []
    with monkeypatch.context() as patch:
        patch.setattr(unittest.TestCase, "assertTrue", lambda *_: None)
        assert snapshot.changes() == ["unittest.case.TestCase.assertTrue"]
    with monkeypatch.context() as patch:
        patch.setattr(unittest.TestCase.assertFalse, "__code__", (lambda self, expr, msg=None: None).__code__)
        assert snapshot.changes() == ["the code of unittest.case.TestCase.assertFalse"]
    assert snapshot.changes() == []


def test_failures_of_subtests_count_and_a_skip_is_no_success() -> None:
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

    module = types.ModuleType("tests")
    module.Mixed = Mixed  # type: ignore[attr-defined]
    outcomes = {line["test"]: line["outcome"] for line in run_unit_tests.run_tests(module)}
    assert outcomes == {"test_good": "ok", "test_parts": "fail", "test_skipped": "skip", "test_broken": "error"}


def test_a_wrapped_function_keeps_its_name_and_only_its_own_changes_count() -> None:
    module, tampered, changed = types.ModuleType("m"), list[str](), ["by a test"]
    exec("def f(x: int) -> int:\n    'says'\n    return 1 // x", module.__dict__)
    run_unit_tests.wrap_function(module, "f", lambda: list(changed), tampered)
    assert (module.f.__name__, module.f.__doc__, module.f(1)) == ("f", "says", 1)
    assert tampered == []
    module.__dict__["g"] = lambda: changed.append("by the solution")
    exec("def f(x):\n    g()\n    return 1 // x", module.__dict__)
    run_unit_tests.wrap_function(module, "f", lambda: list(changed), tampered)
    with pytest.raises(ZeroDivisionError):
        module.f(0)
    assert tampered == ["by the solution"]
