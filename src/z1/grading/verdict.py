"""What can be said of a reply?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from z1.grading.boxed import extract_boxed


class Verdict(StrEnum):
    """One word for each reply; shares are taken over all but MISSING and UNGRADED."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    """It ended by itself without an answer that can be read."""
    CUT = "cut"
    """Its allowance ended before an answer that can be read."""
    UNGRADED = "ungraded"
    """No right answer is known to compare it with."""
    MISSING = "missing"
    """An engine or a sandbox failed; nothing is known."""


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict, and why: for a program that is wrong `wrong answer`, `runtime`, `time`, `memory`, `output` or `cheat`,
    and then the details; for what is missing, what failed.
    """

    verdict: Verdict
    reason: str = ""


def grade_no_answer(*, cut: bool) -> Grade:
    """The grade of a reply without an answer that can be read; `cut` says that it was cut off."""
    return Grade(Verdict.CUT if cut else Verdict.UNPARSED)


def exact_match(text: str, expected: str, *, cut: bool) -> Verdict:
    """Compare the last box of `text` with `expected`, white space around both ignored; `cut` says the reply was cut
    off.
    """
    found = extract_boxed(text)
    if found is None:
        return grade_no_answer(cut=cut).verdict
    return Verdict.RIGHT if found.strip() == expected.strip() else Verdict.WRONG
