"""Numbers and the headline of a report as text.

Shares are in percent with one decimal, tokens with one decimal below 1,000, and an interval follows its value in
brackets. NaN, a number that could not be computed, is a dash. The headline states what was measured and nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from z1.records import Interval
from z1.report.load import Curve, Evaluation, Point

NONE = "\u2013"


def share(value: float) -> str:
    """0.962 -> 96.2 (percent, without its sign)."""
    return NONE if math.isnan(value) else f"{100 * value:.1f}"


def tokens(value: float) -> str:
    """61.04 -> 61.0, 1234.5 -> 1,234."""
    return NONE if math.isnan(value) else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def bracket(interval: Interval, unit: str = "tokens") -> str:
    """The interval of a value: [94.5, 97.4]; "" if it is unknown."""
    one = share if unit == "share" else tokens
    known = not (math.isnan(interval.low) or math.isnan(interval.high))
    return f"[{one(interval.low)},\u00a0{one(interval.high)}]" if known else ""


def budget(value: int | None) -> str:
    """A thinking budget in tokens, or "unlimited"."""
    return "unlimited" if value is None else f"{value:,}"


def budgets(values: Sequence[int | None]) -> str:
    """Consecutive thinking budgets: 16, or 128 to unlimited."""
    return budget(values[0]) if len(values) == 1 else f"{budget(values[0])} to {budget(values[-1])}"


def listed(parts: Sequence[str]) -> str:
    """["a", "b", "c"] -> a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def headline(evaluations: Sequence[Evaluation]) -> str:
    """One sentence: accuracy and thinking tokens; for a single model also the cheapest budget with half of it."""
    if len(evaluations) == 1:
        return "; ".join(filter(None, (_clause(evaluations[0]), _half(evaluations[0])))) + "."
    counted = {_counted(one) for one in evaluations}
    if len(counted) > 1 or any(
        one.head.thinking_budget is not None or not one.head.accuracy.known for one in evaluations
    ):
        return "; ".join(map(_clause, evaluations)) + "."
    first, *rest = (f"{_accuracy(one.head)} with {about(one.head.thinking_tokens.value)}" for one in evaluations)
    others = "".join(f", {one.label} of {text}" for one, text in zip(evaluations[1:], rest, strict=True))
    return f"On {counted.pop()}, {evaluations[0].label} has an accuracy of {first} thinking tokens on average{others}."


def problems(evaluation: Curve) -> str:
    """The problems of a benchmark, in words."""
    is_plural = evaluation.benchmark in ("programs", "questions", "word-problems")  # names that say what they count
    return evaluation.benchmark.replace("-", " ") if is_plural else f"problems of {evaluation.benchmark}"


def _clause(evaluation: Evaluation) -> str:
    point = evaluation.head
    limit = f", with a thinking budget of {budget(point.thinking_budget)} tokens,"
    subject = evaluation.label + (limit if point.thinking_budget is not None else "")
    if not point.accuracy.known:
        return f"{subject} has no graded reply ({point.missing:,} {_be(point.missing)} missing)"
    return (
        f"{subject} has an accuracy of {_accuracy(point)} on {_counted(evaluation)}, "
        f"with {about(point.thinking_tokens.value)} thinking tokens on average"
    )


def _counted(evaluation: Evaluation) -> str:
    """480 programs; 478 programs (2 more are missing); 2,400 replies to 600 programs."""
    point = evaluation.head
    many = point.n + point.missing > evaluation.count
    counted = f"{point.n:,} replies to {evaluation.count:,}" if many else f"{point.n:,}"
    missing = f" ({point.missing:,} more {_be(point.missing)} missing)" if point.missing else ""
    return f"{counted} {problems(evaluation)}{missing}"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _half(evaluation: Evaluation) -> str:
    full, known = evaluation.head, [one for one in evaluation.points[:-1] if one.accuracy.known]
    smaller = [one for one in known if one.thinking_tokens.value < full.thinking_tokens.value]
    if not smaller or not full.accuracy.value > 0:
        return ""
    enough = [one for one in smaller if one.accuracy.value >= full.accuracy.value / 2]
    if not enough:
        return "no smaller thinking budget reaches half of that"
    cheapest = min(enough, key=lambda one: one.thinking_tokens.value)
    return (
        f"a thinking budget of {budget(cheapest.thinking_budget)} reaches at least half: {_accuracy(cheapest)} "
        f"with {about(cheapest.thinking_tokens.value)} thinking tokens"
    )


def _accuracy(point: Point) -> str:
    return f"{share(point.accuracy.value)}\u00a0% {bracket(point.accuracy, 'share')}".rstrip()


def about(value: float) -> str:
    """Tokens in a sentence: 61.04 -> 61, 6.04 -> 6.0, 0 -> 0."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else tokens(value)
