"""Test code of a row has a test, or the row is refused."""

from __future__ import annotations

import pytest

from z1.benchmarks.python_tests import has_check, has_test_method, is_python

BROKEN = ["def", "x = '", "\x00", "(" * 3000]


@pytest.mark.parametrize("source", BROKEN)
def test_what_is_no_python_has_no_test(source: str) -> None:
    assert not is_python(source)
    assert not has_check(source, "check")
    assert not has_test_method(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def check(f):\n    assert f(1) == 2\n", True),
        ("import x\nMETA = {}\ndef check(f):\n    for a in (1, 2):\n        assert f(a)\n", True),
        ("def check(f):\n    helper(f)\n", True),
        ("def check(f):\n    pass\n", False),
        ("def other(f):\n    assert f(1)\n", False),
        ("check = 3", False),
        ("", False),
    ],
)
def test_a_check_asserts_or_calls_something(source: str, expected: bool) -> None:
    assert is_python(source)
    assert has_check(source, "check") is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class T:\n    def test_a(self): ...\n", True),
        ("class T:\n    async def testA(self): ...\n", True),
        ("class T:\n    def setUp(self): ...\n", False),
        ("def test_a(): ...", False),
        ("", False),
    ],
)
def test_a_class_has_a_test_method(source: str, expected: bool) -> None:
    assert has_test_method(source) is expected
