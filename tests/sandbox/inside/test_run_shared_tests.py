"""The harness of unit tests: detected tampering."""

from __future__ import annotations

import types
import unittest

import pytest

from z1.sandbox.inside import run_shared_tests


def test_a_snapshot_detects_replaced_methods_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = run_shared_tests.LibrarySnapshot()
    assert snapshot.changes() == []
    with monkeypatch.context() as patch:
        patch.setattr(unittest.TestCase, "assertTrue", lambda *_: None)
        assert snapshot.changes() == ["unittest.case.TestCase.assertTrue"]
    with monkeypatch.context() as patch:
        patch.setattr(unittest.TestCase.assertFalse, "__code__", (lambda self, expr, msg=None: None).__code__)
        assert snapshot.changes() == ["the code of unittest.case.TestCase.assertFalse"]
    assert snapshot.changes() == []


def test_a_wrapped_function_keeps_its_name_and_only_its_own_changes_count() -> None:
    module, tampered, changed = types.ModuleType("m"), list[str](), ["by a test"]
    exec("def f(x: int) -> int:\n    'says'\n    return 1 // x", module.__dict__)
    run_shared_tests.wrap_function(module, "f", lambda: list(changed), tampered)
    assert (module.f.__name__, module.f.__doc__, module.f(1)) == ("f", "says", 1)
    assert tampered == []
    module.__dict__["g"] = lambda: changed.append("by the solution")
    exec("def f(x):\n    g()\n    return 1 // x", module.__dict__)
    run_shared_tests.wrap_function(module, "f", lambda: list(changed), tampered)
    with pytest.raises(ZeroDivisionError):
        module.f(0)
    assert tampered == ["by the solution"]
