"""Is one run better than another, and how sure is that?

Both runs answered the same problems, so differences are taken problem by problem, and the interval comes from drawing
problems again (the paired bootstrap: Efron and Tibshirani 1993, chapter 8). Where problems come in clusters (several
samples of one, several questions about one text), whole clusters are drawn. Missing attempts are left out, in pairs.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist, fmean, stdev

from z1.evaluate.intervals import middle
from z1.records import Interval


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours minus theirs, as shares: the interval, pairs that counted, pairs in which one was right more often."""

    interval: Interval
    pairs: int
    only_ours: int
    only_theirs: int
    p_value: float
    """Of McNemar's exact test: the chance of so uneven a split of the pairs that differ, were there no difference."""


def difference(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    clusters: Mapping[str, Hashable] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compare two runs: by problem whether it was right, or in what share of draws; missing ones left out.

    Raises ValueError where they share no problem.
    """
    names = sorted(ours.keys() & theirs.keys())
    if not names:
        raise ValueError("the two runs have no problem in common")
    gained = {name: ours[name] - theirs[name] for name in names}
    only = [sum(value * sign > 0 for value in gained.values()) for sign in (1, -1)]
    groups: dict[Hashable, list[float]] = {}
    for name in names:
        groups.setdefault(clusters[name] if clusters else name, []).append(gained[name])
    interval = bootstrap(list(groups.values()), draws, seed)
    return Difference(interval, len(names), only[0], only[1], _mcnemar(*only))


def bootstrap(groups: Sequence[Sequence[float]], draws: int = 2000, seed: int = 0) -> Interval:
    """The mean over all values with its bootstrap interval; `groups` are drawn whole."""
    if not any(groups):
        raise ValueError("the mean of nothing has no value")
    chance = random.Random(seed)
    sums = [(sum(group), len(group)) for group in groups]
    found = []
    for _ in range(draws):
        drawn = chance.choices(sums, k=len(sums))
        found.append(sum(total for total, _ in drawn) / sum(count for _, count in drawn))
    return middle(sum(total for total, _ in sums) / sum(count for _, count in sums), found)


def _mcnemar(one: int, other: int) -> float:
    n, k = one + other, min(one, other)
    return float(min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n))


def pass_at_k(right: Sequence[int], samples: int, k: int) -> float:
    """The mean chance that one of `k` of a problem's `samples` is right, of which `right` were (Chen et al. 2021)."""
    if not right or not 1 <= k <= samples:
        raise ValueError("pass@k needs a problem and k of 1 to the number of samples")
    return fmean(1 - comb(samples - count, k) / comb(samples, k) for count in right)


def problems_needed(gap: float, accuracy: float, agreement: float = 0.0, power: float = 0.8) -> int:
    """How many problems show a difference of `gap` (a share) at 95 %, with chance `power`.

    `accuracy` is about where both runs stand and `agreement` their correlation from problem to problem: 0 for runs on
    different problems, 0.5 and more for the same problems under two windows of one model. Raises ValueError where the
    gap is not between 0 and 1.
    """
    if not 0 < gap < 1 or not 0 <= agreement < 1:
        raise ValueError("give a gap between 0 and 1, and an agreement from 0 to below 1")
    deviation = sqrt(2 * accuracy * (1 - accuracy) * (1 - agreement))
    reach = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(power)
    return max(1, -int(-((reach * deviation / gap) ** 2) // 1))


def pairs_needed(gained: Sequence[float], power: float = 0.8) -> int | None:
    """How many problems show a difference as large as the mean of `gained` (ours minus theirs, by problem) at 95 %,
    with chance `power`; None where there is no difference, or too few problems to tell.
    """
    if len(gained) < 2 or not (gap := fmean(gained)):
        return None
    reach = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(power)
    return max(2, -int(-((reach * stdev(gained) / gap) ** 2) // 1))
