"""Tokens at matched accuracy: how many tokens one curve needs to reach the accuracy of another.

Curves are interpolated linearly between their points, in order of tokens. The paper's claim of "30 % of the tokens" is
such a ratio: its Table 6 gives 0.298 on LiveCodeBench, 0.303 on GPQA and 0.871 on MATH500 at the accuracy that both
curves reach, not the 0.465 of the averages at the ends of the curves. The interval is a bootstrap over problems, the
same problems for both curves.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from z1.evaluate.intervals import middle
from z1.records import Interval

Curve = Sequence[tuple[float, float]]
"""Points of (mean tokens, accuracy), in any order."""

Results = Mapping[str, Sequence[tuple[float, float]]]
"""By problem: (tokens, share of right samples) at each budget, with the budgets in the same order everywhere."""


def tokens_at(curve: Curve, accuracy: float) -> float | None:
    """The fewest tokens at which `curve` reaches `accuracy`; None if it does not, or begins above it."""
    points = sorted(curve)
    for (a, f_a), (b, f_b) in pairwise(points):
        if f_a <= accuracy <= f_b:
            return a if f_a == f_b else a + (b - a) * (accuracy - f_a) / (f_b - f_a)
    return points[0][0] if points and points[0][1] == accuracy else None


def common_accuracy(ours: Curve, theirs: Curve) -> float:
    """The highest accuracy that both curves reach."""
    return min(max(accuracy for _, accuracy in curve) for curve in (ours, theirs))


def ratio(ours: Curve, theirs: Curve) -> float | None:
    """Our tokens over theirs at the highest common accuracy; None if one of the curves begins above it."""
    accuracy = common_accuracy(ours, theirs)
    used = [tokens_at(curve, accuracy) for curve in (ours, theirs)]
    return used[0] / used[1] if used[0] is not None and used[1] else None


def curve_of(results: Results, problems: Sequence[str]) -> Curve:
    """The curve over `problems`, in which a problem may occur more than once."""
    budgets = range(len(results[problems[0]]))
    return [(fmean(results[p][w][0] for p in problems), fmean(results[p][w][1] for p in problems)) for w in budgets]


def ratio_with_interval(ours: Results, theirs: Results, resamples: int = 1000, seed: int = 0) -> tuple[Interval, float]:
    """`ratio` on the common problems with its bootstrap interval, and the share of resamples that have a ratio.

    Raises ValueError if the runs have no problem in common, or no ratio.
    """
    problems = sorted(ours.keys() & theirs.keys())
    if not problems:
        raise ValueError("the two runs have no problem in common")
    value = ratio(curve_of(ours, problems), curve_of(theirs, problems))
    if value is None:
        raise ValueError("one of the curves begins above the accuracy that both reach; add a smaller thinking budget")
    rng = random.Random(seed)
    ratios: list[float] = []
    for _ in range(resamples):
        sampled = rng.choices(problems, k=len(problems))
        if (one := ratio(curve_of(ours, sampled), curve_of(theirs, sampled))) is not None:
            ratios.append(one)
    return middle(value, ratios), len(ratios) / resamples
