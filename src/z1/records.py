"""Which facts are kept, and in what shape?

Records are frozen dataclasses that stand as one JSON object a line in append-only files (see `runs.py`). Names of
fields are names of keys; a missing or an unknown key is refused.
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
    """Something that can be a line of JSON."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record in `value`; names the key that is missing or unknown."""
        _check_keys(cls, value)
        return cls(**value)


def _check_keys(kind: type[Record], value: Mapping[str, Any]) -> None:
    names = {field.name for field in fields(kind)}
    if wrong := names ^ set(value):
        what, got = f"a line of {kind.__name__} records", f"key {min(wrong)!r} missing or unknown"
        raise UserError(what, got, "check the file")


@dataclass(frozen=True, slots=True)
class Problem(Record):
    """Something to think about. `steps` and `kind` grade it where its source can tell."""

    id: str
    question: str
    answer: str
    origin: str
    kind: str = ""
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class TrajectorySet(Record):
    """A problem with its verified thoughts, by level, and how the answer is written after any of them."""

    problem: Problem
    thoughts: dict[str, str]
    answer: str
    operations: int
    """How many values have to be worked out on the way."""
    draw: int
    """Where in its source's order the problem stood: collecting goes on after the last one kept."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As `Record.from_json`, with the problem inside."""
        _check_keys(cls, value)
        return cls(**{**value, "problem": Problem.from_json(value["problem"])})


@dataclass(frozen=True, slots=True)
class TrainingRow(Record):
    """One training example: response = thought + answer, as the published Z1-Code-Reasoning-107K has it in one
    column.
    """

    id: str
    question: str
    thought: str
    answer: str
    level: str
    steps: int | None


@dataclass(frozen=True, slots=True)
class Attempt(Record):
    """One reply to one problem under one window, with everything that is needed to count and to read it.

    `thinking_budget` is the thinking allowance that was asked for (None is free). `spans` are [bucket, first, last + 1]
    over `token_ids`, and `texts` the text of each span; `ledger` are the counts of `think.Ledger`; `verdict` is one of
    `grading`'s. Where an engine failed the verdict is "missing", there are no ids, and `fault` says why.
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
        """The ledger as a value. Raises TypeError where its keys are not those of `think.Ledger`."""
        return Ledger(**self.ledger)  # type: ignore[arg-type]

    def text(self, *buckets: str) -> str:
        """What stands in these `think.Bucket`s, such as the thought."""
        return "".join(text for (bucket, _, _), text in zip(self.spans, self.texts, strict=True) if bucket in buckets)
