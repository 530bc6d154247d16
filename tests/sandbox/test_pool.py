"""Is there one sandbox a purpose, and does it start again after it was closed?"""

from __future__ import annotations

import pytest

from z1.sandbox import Job, pool
from z1.sandbox.pool import BIGCODEBENCH_PYTHON


def test_one_a_purpose() -> None:
    assert pool.for_programs() is pool.for_programs()
    assert pool.for_programs() is not pool.for_unit_tests()
    assert pool.for_programs().run(Job("program", "print(1)")).stdout == b"1\n"


def test_closing_forgets() -> None:
    first = pool.for_programs()
    first.start()
    pool.close_all()
    assert pool.for_programs() is not first


def test_libraries_have_an_interpreter_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BIGCODEBENCH_PYTHON, "/somewhere/python")
    assert pool.for_libraries().python == "/somewhere/python"
    pool.close_all()
