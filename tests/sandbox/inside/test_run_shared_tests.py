"""The harness of unit tests: detected tampering."""

from __future__ import annotations

import types
import unittest

import pytest

from z1.sandbox.inside import comparisons, run_shared_tests


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


class Unchanged:
    """A snapshot of nothing."""

    def __init__(self, found: list[str]) -> None:
        self.found = found

    def changes(self) -> list[str]:
        return list(self.found)


def test_a_watched_function_keeps_its_name_and_only_its_own_changes_count() -> None:
    module, tampered, changed = types.ModuleType("m"), list[str](), ["by a test"]
    results = comparisons.ResultGuard(comparisons.all_classes(), tampered)
    watch = run_shared_tests.CallWatch(Unchanged(changed), results, tampered)  # type: ignore[arg-type]
    exec("def f(x: int) -> int:\n    'says'\n    return 1 // x", module.__dict__)
    watch.wrap(module, "f")
    assert (module.f.__name__, module.f.__doc__, module.f(1)) == ("f", "says", 1)
    assert tampered == []
    module.__dict__["g"] = lambda: changed.append("by the solution")
    exec("def f(x):\n    g()\n    return 1 // x", module.__dict__)
    watch.wrap(module, "f")
    with pytest.raises(ZeroDivisionError):
        module.f(0)
    assert tampered == ["by the solution"]


def test_methods_are_watched_and_a_recursion_once() -> None:
    module, tampered = types.ModuleType("m"), list[str]()
    results = comparisons.ResultGuard(comparisons.all_classes(), tampered)
    watch = run_shared_tests.CallWatch(Unchanged([]), results, tampered)  # type: ignore[arg-type]
    source = (
        "from unittest.mock import ANY\nclass S:\n    def a(self): return ANY\n    @staticmethod\n"
        "    def b(n): return S.b(n - 1) if n else [ANY]\n    @classmethod\n    def c(cls): return cls.__name__\n"
    )
    exec(source, module.__dict__)
    watch.wrap(module, "S")
    assert module.S.c() == "S"
    assert tampered == []
    module.S().a()
    module.S.b(3)
    assert tampered == ["a result that is equal to everything"] * 2
