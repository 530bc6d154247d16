"""Reads and checks evaluation folders:

    problems.jsonl   one `Problem` per line
    attempts.jsonl   one `Attempt` per line
    curve.json       the numbers, computed by `evaluate`

Everything is checked here, so the other modules need no checks: shares are shares, intervals contain their value,
replies belong to problems. A number that could not be computed (null) becomes NaN: not drawn, and printed as a dash.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from z1.errors import UserError
from z1.records import Attempt, Interval, Problem

R = TypeVar("R")

REWRITE = "write the folder again with `z1 evaluate`"


@dataclass(frozen=True, slots=True)
class Point:
    """All replies at one thinking budget: `n` were graded, without the `missing` ones.

    `accuracy`, `truncated_accuracy`, `shifted`, `cut` and `unparsed` are shares of 0 to 1; `thinking_tokens`,
    `paid_tokens` and `phase_one` are tokens. `truncated_accuracy` is the accuracy of unlimited replies cut off after
    `thinking_budget` tokens, None if it is unknown.
    """

    thinking_budget: int | None
    n: int
    missing: int
    accuracy: Interval
    thinking_tokens: Interval
    paid_tokens: Interval
    phase_one: float
    shifted: float
    cut: float
    unparsed: float
    truncated_accuracy: Interval | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """The `n` replies to problems of `steps` steps at one thinking budget."""

    thinking_budget: int | None
    steps: int
    n: int
    accuracy: Interval
    thinking_tokens: Interval


@dataclass(frozen=True, slots=True)
class Scores:
    """s1's metrics: a share, percentage points per 1,000 thinking tokens, a share."""

    control: float
    scaling: float
    performance: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What the pictures show of one model: `points` in order of budget, unlimited last, on `count` problems."""

    label: str
    benchmark: str
    count: int
    points: tuple[Point, ...]
    cells: tuple[Cell, ...]

    @property
    def head(self) -> Point:
        """The point without a budget, or of the largest budget if there is none."""
        return self.points[-1]

    @property
    def head_cells(self) -> tuple[Cell, ...]:
        """The cells of `head`, easiest first."""
        return tuple(cell for cell in self.cells if cell.thinking_budget == self.head.thinking_budget)


@dataclass(frozen=True, slots=True)
class Evaluation(Curve):
    """One folder; `label` is the model's name, made unique."""

    run: str
    model: str
    s1: Scores
    problems: Mapping[str, Problem]
    attempts: tuple[Attempt, ...]


def read(folders: Sequence[Path], names: Sequence[str] = ()) -> tuple[Evaluation, ...]:
    """The evaluations in `folders`, in order, under `names` in place of their models' own. Raises `UserError` for files
    that are missing, torn or inconsistent.
    """
    if not folders:
        raise UserError("folders to report on", "none", "name at least one evaluation folder")
    found = [_evaluation(Path(folder)) for folder in folders]
    if names:
        found = [replace(one, model=name) for one, name in zip(found, names, strict=True)]
    models = Counter(one.model for one in found)
    labels = [one.model if models[one.model] == 1 else f"{one.model} ({one.run})" for one in found]
    for index, label in enumerate(labels):
        if label in labels[:index]:
            labels[index] = f"{label} #{index + 1}"
    return tuple(replace(one, label=label) for one, label in zip(found, labels, strict=True))


def _evaluation(folder: Path) -> Evaluation:
    curve = _Table.load(folder / "curve.json")
    points = tuple(sorted((_point(row) for row in curve.rows("points")), key=lambda one: _order(one.thinking_budget)))
    budgets = [one.thinking_budget for one in points]
    if not points:
        raise UserError(f"{curve.where}: points", "none", REWRITE)
    if len(set(budgets)) < len(budgets):
        raise UserError(f"{curve.where}: points", "the same thinking budget twice", REWRITE)
    cells = [_cell(row) for row in curve.rows("by_steps") if row.values.get("steps") is not None]
    s1 = curve.table("s1")
    problems = {one.id: one for one in _records(folder / "problems.jsonl", Problem.from_json)}
    attempts = _records(folder / "attempts.jsonl", Attempt.from_json)
    for line, attempt in enumerate(attempts, 1):
        _check_attempt(attempt, problems, f"{folder / 'attempts.jsonl'} line {line}")
    return Evaluation(
        label=curve.text("model"),
        run=curve.text("run"),
        model=curve.text("model"),
        benchmark=curve.text("benchmark"),
        count=curve.count("problems"),
        points=points,
        cells=tuple(sorted(cells, key=lambda one: (_order(one.thinking_budget), one.steps))),
        s1=Scores(s1.number("control", 1.0), s1.number("scaling"), s1.number("performance", 1.0)),
        problems=problems,
        attempts=tuple(attempts),
    )


def _order(budget: int | None) -> float:
    return math.inf if budget is None else budget


def _point(row: _Table) -> Point:
    return Point(
        row.thinking_budget(),
        row.count("n"),
        row.count("missing"),
        row.interval("accuracy", 1.0),
        row.interval("thinking_tokens"),
        row.interval("paid_tokens"),
        row.number("phase_one"),
        row.number("shifted", 1.0),
        row.number("cut", 1.0),
        row.number("unparsed", 1.0),
        row.interval("truncated_accuracy", 1.0) if "truncated_accuracy" in row.values else None,
    )


def _cell(row: _Table) -> Cell:
    return Cell(
        row.thinking_budget(),
        row.count("steps"),
        row.count("n"),
        row.interval("accuracy", 1.0),
        row.interval("thinking_tokens"),
    )


def _records(path: Path, make: Callable[[dict[str, Any]], R]) -> list[R]:
    """One record per line. Lines end at a line feed only, since JSON strings may contain other separators."""
    found = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line:
            value = _json(line, f"{path} line {number}")
            try:
                found.append(make(value))
            except UserError as error:
                raise UserError(f"{path} line {number}", error.got, REWRITE) from error
    if not found:
        raise UserError(str(path), "no records", REWRITE)
    return found


def _check_attempt(attempt: Attempt, problems: Mapping[str, Problem], where: str) -> None:
    if attempt.problem not in problems:
        raise UserError(where, f"problem {attempt.problem!r}, which problems.jsonl lacks", REWRITE)
    if len(attempt.spans) != len(attempt.texts):
        raise UserError(where, f"{len(attempt.spans)} spans and {len(attempt.texts)} texts", REWRITE)
    try:
        attempt.counts()
    except TypeError as error:
        raise UserError(f"{where}: ledger", attempt.ledger, REWRITE) from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            "an evaluation folder", f"no file {path}", "name a folder that `z1 evaluate` has written"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(str(path), "bytes that are not UTF-8", REWRITE) from error


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(where, f"torn JSON ({error})", REWRITE) from error
    if not isinstance(value, dict):
        raise UserError(where, f"a {type(value).__name__} instead of an object", REWRITE)
    return value


@dataclass(frozen=True, slots=True)
class _Table:
    """A JSON object and its place in a file, for messages. Other keys are ignored."""

    values: dict[str, Any]
    where: str

    @classmethod
    def load(cls, path: Path) -> _Table:
        return cls(_json(_text(path), str(path)), str(path))

    def get(self, key: str, kinds: tuple[type, ...], expected: str) -> Any:
        value = self.values.get(key)
        if key not in self.values or not isinstance(value, kinds) or isinstance(value, bool):
            raise UserError(
                f"{self.where}: {key}",
                repr(value) if key in self.values else "no such key",
                f"it must be {expected}; {REWRITE}",
            )
        return value

    def text(self, key: str) -> str:
        return str(self.get(key, (str,), "a text"))

    def count(self, key: str) -> int:
        value = int(self.get(key, (int,), "a whole number"))
        if value < 0:
            raise UserError(f"{self.where}: {key}", value, REWRITE)
        return value

    def thinking_budget(self) -> int | None:
        key = "thinking_budget"
        return None if self.get(key, (int, type(None)), "a whole number or null") is None else self.count(key)

    def number(self, key: str, most: float = math.inf) -> float:
        """A number; from 0 to `most` if that is given."""
        value = self.get(key, (int, float, type(None)), "a number or null")
        number = math.nan if value is None else float(value)
        if math.isinf(number) or (most < math.inf and not math.isnan(number) and not 0 <= number <= most):
            raise UserError(f"{self.where}: {key}", value, f"it must be a number from 0 to {most:g}; {REWRITE}")
        return number

    def interval(self, key: str, most: float = math.inf) -> Interval:
        values = self.get(key, (list, type(None)), "[low, value, high] or null")
        if values is None:
            return Interval(math.nan, math.nan, math.nan)
        if len(values) != 3:
            raise UserError(f"{self.where}: {key}", values, f"it must be [low, value, high]; {REWRITE}")
        inner = _Table(dict(zip(("low", "value", "high"), values, strict=True)), f"{self.where}: {key}")
        low, value, high = (inner.number(name, most) for name in ("low", "value", "high"))
        slack = 1e-9 * max(1.0, abs(value))
        if low > value + slack or high < value - slack:
            raise UserError(
                f"{self.where}: {key}", values, f"low, value and high must be in ascending order; {REWRITE}"
            )
        return Interval(min(low, value), value, max(high, value))

    def table(self, key: str) -> _Table:
        return _Table(dict(self.get(key, (dict,), "an object")), f"{self.where}: {key}")

    def rows(self, key: str) -> list[_Table]:
        rows = self.get(key, (list,), "a list of objects")
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise UserError(f"{self.where}: {key}[{index}]", repr(row), REWRITE)
        return [_Table(row, f"{self.where}: {key}[{index}]") for index, row in enumerate(rows)]
