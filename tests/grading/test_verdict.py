"""Verdicts by exact comparison of the last box."""

from __future__ import annotations

import pytest

from z1.grading import Verdict, exact_match


@pytest.mark.parametrize(
    ("text", "expected", "cut", "verdict"),
    [
        (r"The final answer is \boxed{7}.", "7", False, Verdict.RIGHT),
        (r"The final answer is \boxed{8}.", "7", False, Verdict.WRONG),
        (r"\boxed{ 7 }", "7\n", False, Verdict.RIGHT),  # white space around
        (r"\boxed{[1,2]}", "[1, 2]", False, Verdict.WRONG),  # and not inside
        (r"\boxed{07}", "7", False, Verdict.WRONG),
        (r"\boxed{abc}", "ABC", False, Verdict.WRONG),
        (r"\boxed{7} or \boxed{8}", "8", False, Verdict.RIGHT),
        (r"\boxed{7} or \boxed{8}", "7", False, Verdict.WRONG),
        ("", "7", False, Verdict.UNPARSED),
        ("7", "7", False, Verdict.UNPARSED),
        (r"\boxed{7", "7", False, Verdict.UNPARSED),
        (r"\boxed{7", "7", True, Verdict.CUT),
        ("", "7", True, Verdict.CUT),
        (r"\boxed{7} and furthermore", "7", True, Verdict.RIGHT),  # cut after an answer that can be read
        (r"\boxed{8} and furthermore", "7", True, Verdict.WRONG),
        (r"\boxed{}", "7", False, Verdict.WRONG),
    ],
)
def test_each_reply_has_one_verdict(text: str, expected: str, cut: bool, verdict: Verdict) -> None:
    assert exact_match(text, expected, cut=cut) is verdict


def test_the_values_of_verdicts_are_stable() -> None:
    assert {str(verdict) for verdict in Verdict} == {"right", "wrong", "unparsed", "cut", "ungraded", "missing"}
