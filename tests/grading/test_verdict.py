"""Verdicts by exact comparison of the last box."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from z1.errors import EngineFault, Fault, UserError
from z1.grading import Grade, Verdict, exact_match
from z1.grading.verdict import grade_or_missing


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


class Mute(Exception):
    """An error that cannot be described."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Panic(BaseException):
    """As a panic of a library in Rust, which is no Exception."""


def too_deep() -> Grade:
    return too_deep()


WRONG_TYPES: list[Callable[[], Any]] = [
    lambda: None,
    lambda: "right",
    lambda: Grade("perfect"),  # type: ignore[arg-type]
    lambda: Grade(Verdict.RIGHT, 5),  # type: ignore[arg-type]
    lambda: Grade(Verdict.RIGHT, b"x"),  # type: ignore[arg-type]
]


def fault(rng: random.Random) -> Callable[[], Grade]:
    """A grader that fails in one of many ways."""
    errors: list[BaseException] = [
        *(kind(rng.choice(["", "x" * 999, "a\nb", "\ud800", "\x00"])) for kind in (ValueError, OSError, Fault, Panic)),
        *(EngineFault("gone"), UserError("tests", "none", "give one"), StopIteration(), StopAsyncIteration()),
        *(MemoryError(), Mute(), SystemExit(1), GeneratorExit(), asyncio.CancelledError(), TimeoutError()),
        *(ExceptionGroup("g", [KeyError("k")]), BaseExceptionGroup("g", [Panic()])),
        *(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")),
    ]

    def failing() -> Grade:
        raise rng.choice(errors)

    wrong = rng.choice(WRONG_TYPES)
    return rng.choices([failing, too_deep, wrong], [8, 1, 2])[0]


def test_whatever_a_grader_raises_is_missing_with_its_reason() -> None:
    rng = random.Random(0)
    for _ in range(400):
        found = grade_or_missing(fault(rng))
        assert found.verdict is Verdict.MISSING
        assert found.reason.startswith("the grader failed: ")
        assert len(found.reason.encode()) < 1500


def test_a_grade_passes_and_its_reason_can_be_written() -> None:
    assert grade_or_missing(lambda: Grade(Verdict.WRONG, "no")) == Grade(Verdict.WRONG, "no")
    assert grade_or_missing(lambda: Grade(Verdict.WRONG, "a\ud800")) == Grade(Verdict.WRONG, r"a\ud800")


def test_ctrl_c_is_no_verdict() -> None:
    def stop() -> Grade:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_or_missing(stop)
