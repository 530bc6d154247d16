"""The shared sandboxes: one for each purpose, and a new one after closing."""

from __future__ import annotations

import pytest

from z1.sandbox import Job, pool
from z1.sandbox.pool import BIGCODEBENCH_PYTHON


def test_each_purpose_has_one_sandbox() -> None:
    assert pool.for_programs() is pool.for_programs()
    assert pool.for_programs() is not pool.for_unit_tests()
    assert pool.for_programs().run(Job("program", "print(1)")).stdout == b"1\n"


def test_a_closed_sandbox_is_replaced() -> None:
    first = pool.for_programs()
    first.start()
    pool.close_all()
    assert pool.for_programs() is not first


def test_the_interpreter_for_libraries_is_configurable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BIGCODEBENCH_PYTHON, "/somewhere/python")
    assert pool.for_libraries().python == "/somewhere/python"
    pool.close_all()
