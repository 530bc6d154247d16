"""95 % intervals for shares and means, and the three metrics of s1.

Shares get Wilson's interval (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953), which stays within 0 and 1
and has good coverage at both ends; means get the normal interval. Several replies to one problem are a cluster: means
get the cluster-robust error (Liang and Zeger 1986), shares Wilson's interval for as many independent replies as have
that error (Kish's effective sample size). The metrics Control, Scaling and Performance are those of s1
(arXiv 2501.19393, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

from z1.records import Interval

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


def share(hits: float, n: int) -> Interval:
    """`hits` of `n` with Wilson's interval; `hits` is fractional if it is a mean over seeds. Raises ValueError if `n`
    is 0.
    """
    if n <= 0:
        raise ValueError("a share needs at least one value")
    return _wilson(hits / n, n)


def _wilson(p: float, n: float) -> Interval:
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return Interval(min(max(0.0, centre - half), p), p, max(min(1.0, centre + half), p))


def mean(values: Sequence[float]) -> Interval:
    """The mean of `values` with its normal interval; a single value is its own interval."""
    middle = fmean(values)
    half = Z * stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(middle - half, middle, middle + half)


def clustered_share(groups: Iterable[Sequence[bool]]) -> Interval:
    """The share of all values that are true, with an interval that accounts for clusters; equals `share` for clusters
    of one value.

    Raises ValueError if there are no values.
    """
    clusters = [group for group in groups if group]
    n = sum(map(len, clusters))
    if not n:
        raise ValueError("a share needs at least one value")
    p = sum(map(sum, clusters)) / n
    error = sum((sum(group) - p * len(group)) ** 2 for group in clusters) / n**2
    return _wilson(p, min(n, p * (1 - p) / error) if error else len(clusters))


def clustered_mean(groups: Iterable[Sequence[float]]) -> Interval:
    """The mean of all values, with an interval that accounts for clusters; equals `mean` for clusters of one value."""
    clusters = [group for group in groups if group]
    n = sum(map(len, clusters))
    middle = fmean(value for group in clusters for value in group)
    error = sum((sum(group) - middle * len(group)) ** 2 for group in clusters) / n**2
    half = Z * sqrt(error * len(clusters) / (len(clusters) - 1)) if len(clusters) > 1 else 0.0
    return Interval(middle - half, middle, middle + half)


def middle(value: float, resampled: Sequence[float]) -> Interval:
    """`value` with the middle 95 % of its bootstrap values `resampled`. Raises ValueError if there are none."""
    ordered = sorted(resampled)
    if not ordered:
        raise ValueError("a bootstrap interval needs at least one resample")
    last = len(ordered) - 1
    return Interval(min(ordered[round(0.025 * last)], value), value, max(ordered[round(0.975 * last)], value))


def control(runs: Sequence[tuple[float, float]]) -> float:
    """The share of runs (mean thinking tokens, thinking budget) that stayed within their budget."""
    return sum(used <= budget for used, budget in runs) / len(runs)


def scaling(points: Sequence[tuple[float, float]]) -> float | None:
    """Mean slope over all pairs of points (mean thinking tokens, accuracy as a share), in percentage points per 1,000
    tokens.

    Pairs with equal tokens have no slope and are left out; None if no pair is left.
    """
    slopes = [(f_b - f_a) / (b - a) for (a, f_a), (b, f_b) in combinations(sorted(points), 2) if b > a]
    return 100_000 * fmean(slopes) if slopes else None


def performance(points: Sequence[tuple[float, float]]) -> float:
    """The best accuracy of any point (mean thinking tokens, accuracy)."""
    return max(accuracy for _, accuracy in points)
