"""What each picture shows, in one sentence.

A finding states numbers of the curves and divides at most two of them; it judges nothing. The first curve is ours: the
others are compared with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from z1.report import formatting
from z1.report.load import Cell, Curve, Point

COMPARABLE = 0.05
"""Thinking tokens are compared between models whose accuracies differ by at most this."""


def ratios(curves: Sequence[Curve]) -> dict[str, float]:
    """Thinking tokens of the first curve over those of each comparable other, at their largest budgets, by label."""
    ours, *others = curves
    thought = ours.head.thinking_tokens.value
    return {
        one.label: thought / one.head.thinking_tokens.value
        for one in others
        if abs(one.head.accuracy.value - ours.head.accuracy.value) <= COMPARABLE
        and min(thought, one.head.thinking_tokens.value) > 0
    }


def accuracy_by_tokens(curves: Sequence[Curve], shown: Mapping[str, float]) -> str:
    """The finding of accuracy against tokens; `shown` are the ratios that the picture shows."""
    ours, *others = curves
    if shown:
        gains = {one.label: ours.head.accuracy.value - one.head.accuracy.value for one in others}
        (label, value), *rest = sorted(shown.items(), key=lambda one: -one[1])
        first = f"{value:.2f}\u00a0\u00d7\u00a0{label}\u2019s thinking tokens (accuracy {_points(gains[label])} points)"
        more = [f"{value:.2f}\u00a0\u00d7\u00a0{label}\u2019s ({_points(gains[label])})" for label, value in rest]
        return f"{ours.label} uses {formatting.listed([first, *more])}"
    known = [point for point in ours.points if point.accuracy.known]
    if not known:
        return f"{ours.label} has no graded reply"
    if graded := [one for one in others if one.head.accuracy.known]:
        best = max(graded, key=lambda one: one.head.accuracy.value)
        return f"{ours.label}: {_state(known[-1])}; {best.label}: {_state(best.head)}"
    ends = [known[0], known[-1]] if len(known) > 1 else known
    return f"{ours.label}: {formatting.listed([_state(point) for point in ends])}"


def thinking_by_steps(curves: Sequence[Curve]) -> str:
    """The finding of thinking tokens by difficulty: of the first curve that has some."""
    ours = next(one for one in curves if one.head_cells)
    known = [cell for cell in ours.head_cells if cell.thinking_tokens.known]
    if not known:
        return f"{ours.label} has no graded reply"
    first, last = known[0], known[-1]
    start = f"{ours.label} thinks {formatting.about(first.thinking_tokens.value)} tokens at {_steps(first)}"
    return start if len(known) == 1 else f"{start}, {formatting.about(last.thinking_tokens.value)} at {_steps(last)}"


def accuracy_by_budget(curves: Sequence[Curve], shown: Collection[str]) -> str:
    """The finding of accuracy by budget: of several models where they differ most, of one where difficulty does.

    Models that are `shown` as comparable are preferred.
    """
    ours, *others = curves
    others = [one for one in others if one.label in shown] or others
    pairs = [
        (abs(mine.accuracy.value - theirs.accuracy.value), mine, theirs, one.label)
        for one in others
        for mine in ours.points
        for theirs in one.points
        if mine.thinking_budget == theirs.thinking_budget and mine.accuracy.known and theirs.accuracy.known
    ]
    if pairs:
        _, mine, theirs, label = max(pairs, key=lambda pair: pair[0])
        both = f"{ours.label} is right on {_percent(mine)}, {label} on {_percent(theirs)}"
        return f"{_with(mine.thinking_budget)} {both}"
    graded = [cell for cell in ours.cells if cell.accuracy.known]
    rows = [[cell for cell in graded if cell.thinking_budget == point.thinking_budget] for point in ours.points]
    ends = [(row[0], row[-1]) for row in rows if len(row) > 1]
    if not ends:
        return accuracy_by_tokens(curves, {})
    first, last = max(ends, key=lambda pair: abs(pair[0].accuracy.value - pair[1].accuracy.value))
    start = f"{_with(first.thinking_budget)} {ours.label} is right on {_percent(first)} at {_steps(first)}"
    return f"{start}, on {_percent(last)} at {_steps(last)}"


def _state(point: Point) -> str:
    return f"{_percent(point)} with {formatting.about(point.thinking_tokens.value)} thinking tokens"


def _points(difference: float) -> str:
    """A difference of accuracies in points, with its sign."""
    tenths = round(1000 * difference)
    sign = "+" if tenths > 0 else "\u2212" if tenths < 0 else ""
    return f"{sign}{abs(tenths) / 10:.1f}"


def _percent(point: Point | Cell) -> str:
    return f"{100 * point.accuracy.value:.0f}\u00a0%"


def _steps(cell: Cell) -> str:
    return f"{cell.steps:,} step{'s' * (cell.steps != 1)}"


def _with(budget: int | None) -> str:
    return "With unlimited thinking" if budget is None else f"With {budget:,} thinking tokens"
