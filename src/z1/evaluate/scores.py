"""Which of two models thinks less for the same answers?

Both saw the same problems, so everything is paired: a problem's own difficulty cancels out. Where a model was trained
with several seeds, a problem counts once, with the mean over them. Ratios of means get the interval of the
linearised ratio (the delta method), differences the normal one, what is read off a curve a bootstrap over problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import inf, sqrt
from random import Random
from statistics import fmean, stdev
from typing import Any

from z1.errors import Fault
from z1.evaluate import matched
from z1.evaluate.intervals import Z, mean, middle, share
from z1.grading import Verdict
from z1.records import Attempt, Interval

RESAMPLES = 400
"""Bootstrap samples behind an interval that is read off a curve."""


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One model's means over its seeds: right (0 to 1), thought and all ids paid for, by window, then by problem; and
    `truncated_accuracy`, right without the window, where a free reply is cut after as many ids.
    """

    right: Mapping[int | None, Mapping[str, float]]
    thought: Mapping[int | None, Mapping[str, float]]
    paid: Mapping[int | None, Mapping[str, float]] = field(default_factory=dict)
    truncated_accuracy: Mapping[int | None, Mapping[str, float]] = field(default_factory=dict)

    def free(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Right and thought of the free window."""
        return self.right[None], self.thought[None]

    def accuracy(self) -> Interval:
        """Share right, thinking freely."""
        return mean(list(self.right[None].values()))


def draws(attempts: Iterable[Attempt]) -> list[list[Attempt]]:
    """The attempts of each draw of one run, which `scores` takes as it takes seeds."""
    ordered = sorted(attempts, key=lambda a: a.sample)
    return [list(found) for _, found in groupby(ordered, key=lambda a: a.sample)]


def scores(seeds: Sequence[Iterable[Attempt]]) -> ModelScores:
    """The scores of a model from the attempts of each of its seeds; problems with a missing attempt are left out."""
    cells: dict[int | None, dict[str, list[Attempt]]] = {}
    for attempts in seeds:
        for attempt in attempts:
            if attempt.verdict != Verdict.MISSING:
                cells.setdefault(attempt.thinking_budget, {}).setdefault(attempt.problem, []).append(attempt)
    known = [{p for p, found in cell.items() if len(found) == len(seeds)} for cell in cells.values()]
    kept = sorted(set.intersection(*known)) if known else []
    if not kept:
        raise Fault("no problem was attempted under every window and by every seed")

    def means(of: Callable[[Attempt], float], cell: Mapping[str, list[Attempt]]) -> dict[str, float]:
        return {p: fmean(map(of, cell[p])) for p in kept}

    right = {w: means(_right, cell) for w, cell in cells.items()}
    thought = {w: means(lambda a: a.ledger["thought"] or 0, cell) for w, cell in cells.items()}
    paid = {w: means(lambda a: a.counts().paid_tokens, cell) for w, cell in cells.items()}
    capped = [w for w in cells if w is not None and None in cells]
    off: dict[int | None, dict[str, float]] = {w: means(partial(_right, within=w), cells[None]) for w in capped}
    return ModelScores(right, thought, paid, off)


def _right(attempt: Attempt, within: float = inf) -> float:
    """1 for a right answer that was whole after so many ids."""
    return attempt.verdict == Verdict.RIGHT and attempt.counts().paid_tokens <= within


def points(one: ModelScores) -> list[dict[str, Any]]:
    """A model's curve, a point a window, free last: accuracy (with and without the window), thought and all ids, each
    with its interval.
    """
    windows = sorted(one.right, key=lambda w: float("inf") if w is None else w)
    kinds = {
        "accuracy": one.right,
        "truncated_accuracy": one.truncated_accuracy,
        "thought": one.thought,
        "paid": one.paid,
    }
    return [
        {"thinking_budget": w, **{name: mean(list(kind[w].values())) for name, kind in kinds.items() if w in kind}}
        for w in windows
    ]


def by_steps(one: ModelScores, steps: Mapping[str, int | None]) -> list[dict[str, Any]]:
    """Accuracy and thought of free thinking by the `steps` of each problem, fewest first."""
    groups: dict[int, list[str]] = {}
    right, thought = one.free()
    for problem in right:
        groups.setdefault(steps.get(problem) or 0, []).append(problem)
    return [
        {
            "steps": number,
            "n": len(group),
            "accuracy": share(sum(right[p] for p in group), len(group)),
            "thought": mean([thought[p] for p in group]),
        }
        for number, group in sorted(groups.items())
    ]


def difference(ours: ModelScores, theirs: ModelScores) -> Interval:
    """Accuracy of `ours` less that of `theirs`, both thinking freely."""
    (a, _), (b, _) = ours.free(), theirs.free()
    return mean([a[p] - b[p] for p in sorted(a.keys() & b.keys())])


def ratio(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Interval:
    """Mean of `ours` over mean of `theirs`, by problem. Raises Fault where theirs is 0."""
    shared = sorted(ours.keys() & theirs.keys())
    below = fmean(theirs[p] for p in shared)
    if not below:
        raise Fault("a ratio to a model that thinks nothing")
    value = fmean(ours[p] for p in shared) / below
    rest = [ours[p] - value * theirs[p] for p in shared]
    half = Z * stdev(rest) / (below * sqrt(len(rest))) if len(rest) > 1 else 0.0
    return Interval(value - half, value, value + half)


def at_matched_accuracy(ours: ModelScores, theirs: ModelScores, within: float = 0.0, seed: int = 0) -> Interval:
    """Thought ids of `ours` over those of `theirs`, both read off their curves where they reach the same accuracy: the
    lower of the two best, less `within`.
    """
    shared = sorted(ours.free()[0].keys() & theirs.free()[0].keys())
    tables = [_table(one, shared) for one in (ours, theirs)]
    value = _matched(tables, range(len(shared)), within)
    rng = Random(seed)
    drawn = [_matched(tables, rng.choices(range(len(shared)), k=len(shared)), within) for _ in range(RESAMPLES)]
    return middle(value, drawn)


Table = list[tuple[list[float], list[float]]]
"""For each window, thought and right of every problem."""


def _table(one: ModelScores, shared: Sequence[str]) -> Table:
    return [([one.thought[w][p] for p in shared], [one.right[w][p] for p in shared]) for w in one.right]


def _matched(tables: Sequence[Table], drawn: Sequence[int], within: float) -> float:
    curves = [
        sorted((fmean([thought[i] for i in drawn]), fmean([right[i] for i in drawn])) for thought, right in table)
        for table in tables
    ]
    wanted = matched.common_accuracy(*curves) - within
    ours, theirs = (tokens_at(curve, wanted) for curve in curves)
    return ours / theirs


def tokens_at(curve: Sequence[tuple[float, float]], accuracy: float) -> float:
    """As `matched.tokens_at`, but a curve whose first point is above `accuracy` gives that point's ids, so that a draw
    of problems never drops out. Raises Fault where the curve stays below.
    """
    first = min(curve)
    found = first[0] if first[1] >= accuracy else matched.tokens_at(curve, accuracy)
    if found is None:
        raise Fault(f"the curve never reaches {accuracy:.3f}")
    return found
