"""Verdicts on replies, and the exact comparison of boxed answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from z1.errors import describe
from z1.grading.boxed import extract_boxed
from z1.surrogates import escape_surrogates


class Verdict(StrEnum):
    """One verdict for each reply; shares are taken over all but MISSING and UNGRADED."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    """The reply ended by itself without a readable answer."""
    CUT = "cut"
    """The reply was cut off before a readable answer."""
    UNGRADED = "ungraded"
    """No reference answer is known."""
    MISSING = "missing"
    """An engine, a sandbox or a grader failed; nothing is known about the reply."""


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict and its reason. The reason for a wrong program starts with `wrong answer`, `runtime`, `time`, `memory`,
    `output` or `cheat`, then come details; the reason for MISSING is the failure.
    """

    verdict: Verdict
    reason: str = ""

    def __post_init__(self) -> None:
        """Escape what UTF-8 cannot hold: a reason may quote a program."""
        object.__setattr__(self, "reason", escape_surrogates(self.reason))


def grade_or_missing(grade: Callable[[], Grade]) -> Grade:
    """The result of `grade`, or MISSING with the reason if it raises anything; its text can always be written.

    No reply may end a run, so nothing that a grader raises is expected here: also a panic of a library in Rust, which
    is no Exception. Only Ctrl-C passes.
    """
    try:
        found = grade()
        return Grade(Verdict(found.verdict), found.reason)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Grade(Verdict.MISSING, f"the grader failed: {describe(error)}")


def grade_no_answer(*, cut: bool) -> Grade:
    """The grade of a reply without a readable answer; `cut` if the reply was cut off."""
    return Grade(Verdict.CUT if cut else Verdict.UNPARSED)


def exact_match(text: str, expected: str, *, cut: bool) -> Verdict:
    """Compare the last box of `text` with `expected`, ignoring white space around both; `cut` if the reply was cut
    off.
    """
    content = extract_boxed(text)
    if content is None:
        return grade_no_answer(cut=cut).verdict
    return Verdict.RIGHT if content.strip() == expected.strip() else Verdict.WRONG
