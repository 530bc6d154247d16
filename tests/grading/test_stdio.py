"""Grading of programs by their output: which outputs match, and the reasons of failures."""

from __future__ import annotations

import pytest

from z1.grading import Grade, Verdict, stdio
from z1.sandbox import ResourceLimits, Sandbox

OUTPUTS = [
    ("a final newline", "1\n2\n", "1\n2", True),
    ("space at the ends of lines", "1 \n 2\n", "1\n2\n", True),
    ("a carriage return", "1\r\n2\r\n", "1\n2\n", True),
    ("empty lines around", "\n1\n\n", "1\n", True),
    ("an empty line between", "1\n\n2\n", "1\n2\n", False),
    ("numbers as numbers", "1.0 2.50\n", "1 2.5\n", True),
    ("numbers with other spaces", "1  2\n", "1 2\n", True),
    ("words with other spaces", "a  b\n", "a b\n", False),
    ("110 is not 10", "110\n", "10\n", False),
    ("great numbers to the last digit", "123456789012345678901\n", "123456789012345678902\n", False),
    ("no tolerance", "0.30000000000000004\n", "0.3\n", False),
    ("capital letters", "YES\n", "Yes\n", False),
    ("nothing for something", "", "1\n", False),
    ("nothing for nothing", "", "", True),
    ("the start of it", "1\n", "1\n2\n", False),
    ("more than it", "1\n2\n", "1\n", False),
    ("nan is no number that equals", "NaN 1\n", "NaN  1\n", False),
]


@pytest.mark.parametrize(("name", "got", "expected", "match"), OUTPUTS, ids=[row[0] for row in OUTPUTS])
def test_outputs_match(name: str, got: str, expected: str, match: bool) -> None:
    assert stdio.outputs_match(got, expected) is match


REASONS = {
    "print(1)": "wrong answer: '1\\n' for '2\\n' (test 1 of 1)",
    "1 / 0": "runtime: status 1, ZeroDivisionError: division by zero (test 1 of 1)",
    "while 1: pass": "time (test 1 of 1)",
    "x = []\nwhile 1: x.append(bytearray(10**6))": "memory (test 1 of 1)",
    "while 1: print('x' * 1000)": "output (test 1 of 1)",
}


@pytest.mark.parametrize("source", REASONS)
def test_a_failure_has_its_reason(sandbox: Sandbox, source: str) -> None:
    limits = ResourceLimits(wall_seconds=3, cpu_seconds=1, output_bytes=1 << 16, address_space_bytes=256 << 20)
    assert stdio.grade(sandbox, source, [("", "2\n")], limits) == Grade(Verdict.WRONG, REASONS[source])


def test_the_first_test_that_fails_is_named(sandbox: Sandbox) -> None:
    tests = [(f"{n}\n", f"{n if n < 5 else 0}\n") for n in range(9)]
    assert stdio.grade(sandbox, "print(input())", tests).reason == "wrong answer: '5\\n' for '0\\n' (test 6 of 9)"


def test_grading_without_tests_raises(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="needs at least one test"):
        stdio.grade(sandbox, "", [])
