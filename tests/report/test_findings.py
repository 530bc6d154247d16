"""A finding has the numbers of the curves, and compares models that are about as often right."""

from dataclasses import replace
from math import nan

import pytest

from z1.records import Interval
from z1.report import findings
from z1.report.load import Cell, Curve, Point


def exact(value: float) -> Interval:
    return Interval(value, value, value)


def point(budget: int | None, right: float, tokens: float) -> Point:
    return Point(budget, 9, 0, exact(right), exact(tokens), exact(tokens), nan, nan, nan, nan)


def curve(label: str, *points: Point) -> Curve:
    return Curve(label, "programs", 9, points, ())


OURS = curve("mine", point(8, 0.4, 8), point(None, 0.96, 29))
LONG = curve("long", point(8, 0.1, 8), point(None, 0.95, 100))
FULL = curve("full", point(8, 0.3, 8), point(None, 0.98, 50))
SHORT = curve("short", point(8, 0.5, 0), point(None, 0.5, 0))
CELLS = tuple(
    Cell(budget, steps, 9, exact(right), exact(tokens))
    for budget, steps, right, tokens in ((8, 1, 0.9, 6.04), (8, 12, 0.1, 8), (None, 1, 0.97, 6.04), (None, 12, 0.9, 91))
)


def test_only_models_that_are_about_as_often_right_are_compared() -> None:
    assert findings.ratios([OURS, LONG, FULL, SHORT]) == pytest.approx({"long": 0.29, "full": 0.58})
    assert findings.ratios([SHORT, OURS]) == findings.ratios([OURS]) == {}


def test_accuracy_by_tokens() -> None:
    of = findings.accuracy_by_tokens
    both = {"long": 0.29, "full": 0.58}
    found = of([OURS, LONG, FULL], both)
    assert found == (
        "mine uses 0.58\u00a0\u00d7\u00a0full\u2019s thinking tokens (accuracy \u22122.0 points) and "
        "0.29\u00a0\u00d7\u00a0long\u2019s (+1.0)"
    )
    same = of([OURS, replace(LONG, points=OURS.points)], {"long": 1.0})
    assert same == "mine uses 1.00\u00a0\u00d7\u00a0long\u2019s thinking tokens (accuracy 0.0 points)"
    assert of([OURS], {}) == "mine: 40\u00a0% with 8.0 thinking tokens and 96\u00a0% with 29 thinking tokens"
    short = "mine: 96\u00a0% with 29 thinking tokens; short: 50\u00a0% with 0 thinking tokens"
    assert of([OURS, SHORT], {}) == short
    assert of([curve("x", point(None, nan, nan))], {}) == "x has no graded reply"


def test_thinking_by_steps() -> None:
    found = findings.thinking_by_steps([OURS, replace(LONG, cells=CELLS)])
    assert found == "long thinks 6.0 tokens at 1 step, 91 at 12 steps"
    assert findings.thinking_by_steps([replace(OURS, cells=CELLS[3:])]) == "mine thinks 91 tokens at 12 steps"


def test_accuracy_by_budget() -> None:
    of = findings.accuracy_by_budget
    alone = of([replace(OURS, cells=CELLS)], ())
    assert alone == "With 8 thinking tokens mine is right on 90\u00a0% at 1 step, on 10\u00a0% at 12 steps"
    assert of([OURS, LONG, SHORT], ["long"]) == ("With 8 thinking tokens mine is right on 40\u00a0%, long on 10\u00a0%")
    assert of([OURS, SHORT], []).startswith("With unlimited thinking mine is right on 96")
