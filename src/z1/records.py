"""Records: the data types stored as JSON lines in append-only files (`runs.py`).

Records are frozen dataclasses. Field names are the JSON keys; a missing or unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isnan
from typing import Any, NamedTuple, Self

from z1.errors import UserError
from z1.think import Ledger


class Interval(NamedTuple):
    """A value with its 95 % interval, `[low, value, high]` in JSON; all three are NaN if it is unknown."""

    low: float
    value: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not isnan(self.value)


@dataclass(frozen=True, slots=True)
class Record:
    """A dataclass that is stored as one JSON line."""

    def as_json(self) -> dict[str, Any]:
        """The record as plain values for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record in `value`. Raises UserError with the missing or unknown key."""
        _check_keys(cls, value)
        return cls(**value)


def _check_keys(kind: type[Record], value: Mapping[str, Any]) -> None:
    names = {field.name for field in fields(kind)}
    if wrong := names ^ set(value):
        what, got = f"a line of {kind.__name__} records", f"key {min(wrong)!r} missing or unknown"
        raise UserError(what, got, "check the file")


@dataclass(frozen=True, slots=True)
class Problem(Record):
    """A problem with its reference answer. `steps` (difficulty) and `kind` are set if the source has them."""

    id: str
    question: str
    answer: str
    origin: str
    kind: str = ""
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class TrajectorySet(Record):
    """A problem with its verified thoughts by level, and the answer text that follows any of them."""

    problem: Problem
    thoughts: dict[str, str]
    answer: str
    operations: int
    """Number of values to compute."""
    index: int
    """Position in the generator's sequence; collection resumes after the last one."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As `Record.from_json`, including the problem."""
        _check_keys(cls, value)
        return cls(**{**value, "problem": Problem.from_json(value["problem"])})


@dataclass(frozen=True, slots=True)
class TrainingRow(Record):
    """One training example. The published Z1-Code-Reasoning-107K stores thought + answer as one column, `response`."""

    id: str
    question: str
    thought: str
    answer: str
    level: str
    steps: int | None


@dataclass(frozen=True, slots=True)
class Attempt(Record):
    """One reply to one problem at one thinking budget, with its tokens, their accounting and its verdict.

    `thinking_budget` is in tokens (None: unlimited). `spans` are [bucket, first, last + 1] over `token_ids`, and
    `texts` the text of each span. `ledger` holds the counts of `think.Ledger`, `verdict` a value of `grading.Verdict`.
    If the engine failed, the verdict is "missing", `token_ids` is empty, and `fault` gives the reason.
    """

    problem: str
    thinking_budget: int | None
    sample: int
    prompt_token_ids: list[int]
    token_ids: list[int]
    spans: list[list[Any]]
    texts: list[str]
    ledger: dict[str, int | None]
    end: str
    shift: str
    verdict: str
    fault: str
    tokenizer: str

    def counts(self) -> Ledger:
        """The ledger as a `think.Ledger`. Raises TypeError for other keys."""
        return Ledger(**self.ledger)  # type: ignore[arg-type]

    def text(self, *buckets: str) -> str:
        """The text of these `think.Bucket`s, such as the thought."""
        return "".join(text for (bucket, _, _), text in zip(self.spans, self.texts, strict=True) if bucket in buckets)
