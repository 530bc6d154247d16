"""Records: the data types stored as JSON lines in append-only files (`runs.py`).

Records are frozen dataclasses. Field names are the JSON keys; a missing or unknown key and a value of another type are
errors. Fields that were added later may be missing (`_OPTIONAL`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from math import isnan
from types import NoneType, UnionType
from typing import Any, NamedTuple, Self, Union, cast, get_args, get_origin, get_type_hints

from z1.errors import UserError
from z1.think import Ledger
from z1.think.ledger import OPTIONAL


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
        """The record in `value`. Raises UserError with the missing or unknown key, or the one of another type."""
        _check_fields(cls, value)
        return cls(**value)


def _check_fields(kind: type[Record], value: Mapping[str, Any]) -> None:
    checks, optional = _field_checks(cast(Any, kind))
    if wrong := (checks.keys() ^ value.keys()) - (optional - value.keys()):
        raise _wrong_field(kind, f"key {min(wrong)!r} missing or unknown")
    for name, is_valid in checks.items():
        if name in value and not is_valid(value[name]):
            raise _wrong_field(kind, f"key {name!r} with {repr(value[name])[:40]}")


def _wrong_field(kind: type[Record], got: str) -> UserError:
    return UserError(f"a line of {kind.__name__} records", got, "check the file")


_Check = Callable[[Any], bool]

_OPTIONAL = {"answer_confidence"}
"""Fields that files of earlier versions lack."""


@cache
def _field_checks(kind: type[Any]) -> tuple[dict[str, _Check], set[str]]:
    """For each field of a record, whether a JSON value has its type; and the fields that may be missing."""
    types = get_type_hints(kind)
    optional = {field.name for field in fields(kind) if field.name in _OPTIONAL}
    return {field.name: _type_check(types[field.name]) for field in fields(kind)}, optional


def _type_check(expected: Any) -> _Check:
    if expected in _CHECKS:
        return _CHECKS[expected]
    inner = [_type_check(one) for one in get_args(expected)]
    if get_origin(expected) is list:
        return lambda value: type(value) is list and all(map(inner[0], value))
    if get_origin(expected) is dict:
        return lambda value: type(value) is dict and all(map(inner[1], value.values()))
    if get_origin(expected) in (Union, UnionType):
        return lambda value: any(check(value) for check in inner)
    return lambda value: isinstance(value, Mapping)  # a record in a record


_CHECKS: dict[Any, _Check] = {
    Any: lambda _: True,
    float: lambda value: type(value) in (int, float),
    list[int]: lambda value: type(value) is list and set(map(type, value)) <= {int},  # token ids are many
    **{kind: partial(lambda kind, value: type(value) is kind, kind) for kind in (str, int, bool, NoneType)},
}
"""The checks of plain types."""


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
        _check_fields(cls, value)
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
    `answer_confidence` has the values of `exit_policy.AnswerConfidence` of an answer that was forced on a fork.
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
    answer_confidence: dict[str, float] | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As `Record.from_json`, including the spans and the keys of the ledger."""
        _check_fields(cls, value)
        size = len(value["token_ids"])
        is_valid = len(value["spans"]) == len(value["texts"]) and all(_is_span(span, size) for span in value["spans"])
        if not is_valid or value["ledger"].keys() | OPTIONAL != _LEDGER_KEYS:
            raise _wrong_field(cls, "spans, texts and ledger that do not fit together")
        return cls(**value)

    def counts(self) -> Ledger:
        """The ledger as a `think.Ledger`. Raises TypeError for other keys."""
        return Ledger(**self.ledger)  # type: ignore[arg-type]

    def text(self, *buckets: str) -> str:
        """The text of these `think.Bucket`s, such as the thought."""
        return "".join(text for (bucket, _, _), text in zip(self.spans, self.texts, strict=True) if bucket in buckets)


_LEDGER_KEYS = {field.name for field in fields(Ledger)}


def _is_span(span: list[Any], size: int) -> bool:
    """Whether a span is [bucket, first, last + 1] within `size` tokens."""
    if len(span) != 3 or not isinstance(span[0], str) or not all(type(index) is int for index in span[1:]):
        return False
    return bool(0 <= span[1] <= span[2] <= size)
