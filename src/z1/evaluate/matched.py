"""How many tokens does one curve need for the accuracy of another?

Between two points of a curve a straight line is drawn, along the curve in order of tokens. The paper's claim of "30 %
of the tokens" is such a ratio: its Table 6 gives 0.298 on LiveCodeBench, 0.303 on GPQA and 0.871 on MATH500 at the
accuracy that both curves reach, and not the 0.465 of the averages at the curves' ends. The interval comes from drawing
problems again, the same ones for both curves.
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
"""By problem: (tokens, right or its share of draws) under each window, the windows in the same order everywhere."""


def tokens_at(curve: Curve, accuracy: float) -> float | None:
    """The fewest tokens at which `curve` reaches `accuracy`; None where it does not, or begins above it."""
    points = sorted(curve)
    for (a, f_a), (b, f_b) in pairwise(points):
        if f_a <= accuracy <= f_b:
            return a if f_a == f_b else a + (b - a) * (accuracy - f_a) / (f_b - f_a)
    return points[0][0] if points and points[0][1] == accuracy else None


def common_accuracy(ours: Curve, theirs: Curve) -> float:
    """The highest accuracy that both curves reach."""
    return min(max(accuracy for _, accuracy in curve) for curve in (ours, theirs))


def ratio(ours: Curve, theirs: Curve) -> float | None:
    """Our tokens over theirs at the highest common accuracy; None where one of the curves begins above it."""
    accuracy = common_accuracy(ours, theirs)
    used = [tokens_at(curve, accuracy) for curve in (ours, theirs)]
    return used[0] / used[1] if used[0] is not None and used[1] else None


def curve_of(results: Results, problems: Sequence[str]) -> Curve:
    """The curve of `problems`, which may name one more than once."""
    windows = range(len(results[problems[0]]))
    return [(fmean(results[p][w][0] for p in problems), fmean(results[p][w][1] for p in problems)) for w in windows]


def ratio_with_interval(ours: Results, theirs: Results, draws: int = 1000, seed: int = 0) -> tuple[Interval, float]:
    """`ratio` on the problems that both have, with its bootstrap interval, and the share of draws that have a ratio.

    Raises ValueError where the runs have no problem in common, or no ratio.
    """
    problems = sorted(ours.keys() & theirs.keys())
    if not problems:
        raise ValueError("the two runs have no problem in common")
    value = ratio(curve_of(ours, problems), curve_of(theirs, problems))
    if value is None:
        raise ValueError("one of the curves begins above the accuracy that both reach; add a smaller window")
    chance = random.Random(seed)
    found: list[float] = []
    for _ in range(draws):
        drawn = chance.choices(problems, k=len(problems))
        if (one := ratio(curve_of(ours, drawn), curve_of(theirs, drawn))) is not None:
            found.append(one)
    return middle(value, found), len(found) / draws
