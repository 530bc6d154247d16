"""One reply of another tool's log, and what its values mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from z1.grading import Verdict
from z1.grading.thoughts import split_thought
from z1.records import Attempt, Problem

CountTokens = Callable[[str], int]
"""The number of tokens of a text."""

Grader = Callable[[str, str, bool], tuple[str, str] | None]
"""Maps (problem id, text of the answer, whether it was cut off) to verdict and reason; None for an unknown problem."""


@dataclass(frozen=True, slots=True)
class LogReply:
    """One reply of a log. `answer` is the text after the thought; None is "not in the log" everywhere."""

    problem: str
    answer: str
    thought: str | None = None
    verdict: str | None = None
    thinking_budget: int | None = None
    sample: int = 0
    thinking_tokens: int | None = None
    completion_tokens: int | None = None
    is_cut: bool = False
    shift: str = ""
    fault: str = ""
    question: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """What a reader understood of a log: its format, replies, names, and `notes` for the user.

    `attempts` are attempts that z1 itself had put into the log.
    """

    format: str
    replies: Sequence[LogReply]
    model: str = ""
    benchmark: str = ""
    notes: tuple[str, ...] = ()
    attempts: Sequence[Attempt] = ()
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How a log is read; "" and None leave a name or a choice to the log.

    `columns` maps fields of `LogReply` to columns. `thinking_budget` is that of a log that does not state it.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    benchmark: str = ""
    filter: str = ""
    """The filter of lm-eval, or the scorer of Inspect, whose verdict counts."""
    thinking_budget: int | None = None
    count_tokens: CountTokens | None = None
    tokenizer: str = ""
    """The tokenizer's name, which is stored with the attempts."""
    grade: Grader | None = None
    problems: Sequence[Problem] = ()
    """Those of the benchmark that grades, for logs without questions or references."""


NO_SETTINGS = ImportSettings()


def split_text(text: str) -> tuple[str | None, str]:
    """Thought and answer of a reply's text by its last closing think tag; None without one."""
    thought, answer = split_thought(text)
    return (thought, answer) if thought else (None, text)


def verdict_of(value: Any) -> str | None:
    """The verdict that a log's value stands for; None for a value that is none. A partial score is wrong."""
    if isinstance(value, bool):
        return Verdict.RIGHT if value else Verdict.WRONG
    if isinstance(value, int | float):
        return Verdict.RIGHT if value >= 1 else Verdict.WRONG
    word = str(value).strip().casefold()
    if word in {str(verdict) for verdict in Verdict}:
        return word
    right, wrong = {"c", "correct", "true", "pass", "passed", "1", "yes"}, {"i", "p", "incorrect", "false", "0", "no"}
    if word in right:
        return Verdict.RIGHT
    return Verdict.WRONG if word in wrong | {"fail", "failed"} else Verdict.UNPARSED if word == "n" else None
