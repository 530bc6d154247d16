"""How sure are we?

Intervals at 95 %. Shares get Wilson's interval (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953), which
stays inside 0 and 1 and is honest at both ends; means get the normal one. Several replies to one problem are a cluster:
means get the cluster-robust error (Liang and Zeger 1986), shares Wilson's interval of as many independent replies as
have that error (Kish's effective sample size). The three metrics are those of s1 (arXiv 2501.19393, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

Interval = list[float]
"""[low, value, high]"""


def share(hits: float, n: int) -> Interval:
    """`hits` of `n` with Wilson's interval; a mean over seeds may be no whole number. Raises ValueError where there is
    nothing to count.
    """
    if n <= 0:
        raise ValueError("a share of nothing has no value")
    return _wilson(hits / n, n)


def _wilson(p: float, n: float) -> Interval:
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return [min(max(0.0, centre - half), p), p, max(min(1.0, centre + half), p)]


def mean(values: Sequence[float]) -> Interval:
    """The mean of `values` with its normal interval; of a single value there is no spread, and the interval is that
    value.
    """
    middle = fmean(values)
    half = Z * stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return [middle - half, middle, middle + half]


def clustered_share(groups: Iterable[Sequence[bool]]) -> Interval:
    """The share of all values that are true, with the interval that clusters leave; `share` where each has one value.

    Raises ValueError where there is nothing to count.
    """
    found = [group for group in groups if group]
    n = sum(map(len, found))
    if not n:
        raise ValueError("a share of nothing has no value")
    p = sum(map(sum, found)) / n
    error = sum((sum(group) - p * len(group)) ** 2 for group in found) / n**2
    return _wilson(p, min(n, p * (1 - p) / error) if error else len(found))


def clustered_mean(groups: Iterable[Sequence[float]]) -> Interval:
    """The mean of all values, with the interval that clusters leave; `mean` where each has one value."""
    found = [group for group in groups if group]
    n = sum(map(len, found))
    middle = fmean(value for group in found for value in group)
    error = sum((sum(group) - middle * len(group)) ** 2 for group in found) / n**2
    half = Z * sqrt(error * len(found) / (len(found) - 1)) if len(found) > 1 else 0.0
    return [middle - half, middle, middle + half]


def middle(value: float, drawn: Sequence[float]) -> Interval:
    """`value` with the middle 95 % of values `drawn` for its bootstrap."""
    ordered = sorted(drawn)
    if not ordered:
        raise ValueError("an interval of nothing has no ends")
    reach = len(ordered) - 1
    return [min(ordered[round(0.025 * reach)], value), value, max(ordered[round(0.975 * reach)], value)]


def control(runs: Sequence[tuple[float, float]]) -> float:
    """Share of runs (realised mean thinking tokens, tokens allowed) that stayed within what was allowed."""
    return sum(used <= allowed for used, allowed in runs) / len(runs)


def scaling(points: Sequence[tuple[float, float]]) -> float | None:
    """Mean slope over all pairs of points (mean thinking tokens, accuracy as a share), in percentage points per 1,000
    tokens.

    Points of equal tokens have no slope and are left out; None where no pair is left.
    """
    slopes = [(f_b - f_a) / (b - a) for (a, f_a), (b, f_b) in combinations(sorted(points), 2) if b > a]
    return 100_000 * fmean(slopes) if slopes else None


def performance(points: Sequence[tuple[float, float]]) -> float:
    """The best accuracy of any point (mean thinking tokens, accuracy)."""
    return max(accuracy for _, accuracy in points)
