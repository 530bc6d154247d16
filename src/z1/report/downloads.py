"""The numbers of each picture as CSV and JSON, in links that hold their data, so that the page stays one file."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from z1.records import Interval
from z1.report.load import Cell, Curve, Point

KINDS = {
    "curve": ("accuracy", "thinking_tokens", "paid_tokens"),
    "difficulty": ("accuracy", "thinking_tokens"),
    "cutoff": ("accuracy",),
}
"""The quantities of each picture, each with both ends of its interval."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file's name, and a URL that contains it."""

    name: str
    url: str


def downloads(picture: str, curves: Sequence[Curve]) -> list[Download]:
    """The numbers of a picture as CSV and as JSON."""
    rows = list(_rows(picture, curves))
    table = StringIO()
    writer = csv.DictWriter(table, list(rows[0]) if rows else ["model"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    texts = {"csv": table.getvalue(), "json": json.dumps(rows, indent=1) + "\n"}
    types = {"csv": "text/csv", "json": "application/json"}
    return [Download(f"{picture}.{kind}", _data_url(types[kind], text)) for kind, text in texts.items()]


def _rows(picture: str, curves: Sequence[Curve]) -> Iterator[Mapping[str, Any]]:
    for curve in curves:
        shown: dict[str, Sequence[Point | Cell]] = {
            "curve": curve.points,
            "difficulty": curve.head_cells,
            "cutoff": curve.cells,
        }
        for one in shown[picture]:
            row: dict[str, Any] = {"model": curve.label, "thinking_budget": one.thinking_budget}
            if isinstance(one, Cell):
                row["steps"] = one.steps
            row["n"] = one.n
            for name in KINDS[picture]:
                row |= _values(name, getattr(one, name))
            yield row


def _values(name: str, interval: Interval) -> dict[str, float | None]:
    """Value and ends; None, an empty field in CSV, if unknown."""
    numbers = {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {key: None if math.isnan(value) else value for key, value in numbers.items()}


def _data_url(kind: str, text: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
