"""The pictures of a study, drawn from its numbers.

All seeds of an arm are pooled, as in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from z1.records import Interval
from z1.report.load import Cell, Curve, Point
from z1.report.study_page import Numbers, StudyPage, shown_arms


def draw(numbers: Numbers, settings: StudyPage) -> dict[str, bytes]:
    """The PNG files of the pictures by name, of the arms of the study's page, its reference first."""
    from z1.report import plots

    arms = sorted(shown_arms(numbers, settings), key=lambda arm: arm != numbers["reference"])
    curves = [_curve(arm, numbers) for arm in arms]
    pictures = plots.draw(curves)
    files = {name: content for key, one in pictures.items() for name, content in one.files(key).items()}
    return {name: content for name, content in files.items() if name.endswith(".png")}


def _curve(arm: str, numbers: Numbers) -> Curve:
    unlimited = numbers["by_difficulty"][arm]
    limited = numbers.get("by_budget_and_difficulty", {}).get(arm, ())
    return Curve(
        label=arm,
        benchmark=next((one["benchmark"] for one in numbers["evaluations"]), ""),
        count=sum(row["n"] for row in unlimited),
        points=tuple(_point(row) for row in numbers["curves"][arm]),
        cells=tuple(_cell(row) for row in (*limited, *unlimited) if row["steps"]),
    )


def _point(row: Mapping[str, Any]) -> Point:
    accuracy, thinking, paid = (Interval(*row[key]) for key in ("accuracy", "thinking_tokens", "paid_tokens"))
    return Point(row["thinking_budget"], 0, 0, accuracy, thinking, paid, nan, nan, nan, nan)


def _cell(row: Mapping[str, Any]) -> Cell:
    accuracy, thinking = (Interval(*row[key]) for key in ("accuracy", "thinking_tokens"))
    return Cell(row.get("thinking_budget"), row["steps"], row["n"], accuracy, thinking)
