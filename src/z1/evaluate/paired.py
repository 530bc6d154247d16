"""Paired comparison of two runs: difference of accuracy, sign test, pass@k and sample sizes.

Both runs answered the same problems, so differences are taken problem by problem, and the interval is a paired
bootstrap over problems (Efron and Tibshirani 1993, chapter 8). If problems form clusters (several samples of one,
several questions about one text), whole clusters are resampled. Missing attempts are left out in pairs.

24 of 24 against 24 of 24 is no proof of equality, and the bootstrap of 24 zeros is a point. So two pseudo-problems are
added, of which each run wins one, as Bonett and Price add them to the interval of Wald (2012, Journal of Educational
and Behavioral Statistics 37).
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
    """Ours minus theirs, as shares: the interval, the number of pairs, and of pairs that one run answered better."""

    interval: Interval
    pairs: int
    only_ours: int
    only_theirs: int
    p_value: float
    """Of McNemar's exact test: the probability of a split at least as uneven if there were no difference."""


def difference(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    clusters: Mapping[str, Hashable] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """The difference of two runs, each given as the share of right samples by problem, without missing problems.

    Raises ValueError if they share no problem.
    """
    names = sorted(ours.keys() & theirs.keys())
    if not names:
        raise ValueError("the two runs have no problem in common")
    gains = {name: ours[name] - theirs[name] for name in names}
    only = [sum(value * sign > 0 for value in gains.values()) for sign in (1, -1)]
    groups: dict[Hashable, list[float]] = {}
    for name in names:
        groups.setdefault(clusters[name] if clusters else name, []).append(gains[name])
    interval = difference_of_shares(list(groups.values()), resamples, seed)
    return Difference(interval, len(names), only[0], only[1], _mcnemar(*only))


def difference_of_shares(groups: Sequence[Sequence[float]], resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean of paired differences between two shares, each -1 to 1, with an interval that is never a point.

    Whole `groups` are resampled, and with them two pseudo-problems of average size, of which either side wins one.
    """
    sums = _sums(groups)
    size = sum(count for _, count in sums) / len(sums)
    return middle(_mean(sums), _resampled_means([*sums, (size, size), (-size, size)], resamples, seed))


def bootstrap(groups: Sequence[Sequence[float]], resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean over all values with its bootstrap interval; whole `groups` are resampled."""
    sums = _sums(groups)
    return middle(_mean(sums), _resampled_means(sums, resamples, seed))


_Sums = list[tuple[float, float]]
"""The sum of each group and the number of its values."""


def _sums(groups: Sequence[Sequence[float]]) -> _Sums:
    if not any(groups):
        raise ValueError("a mean needs at least one value")
    return [(sum(group), len(group)) for group in groups if group]


def _mean(sums: _Sums) -> float:
    return sum(total for total, _ in sums) / sum(count for _, count in sums)


def _resampled_means(sums: _Sums, resamples: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [_mean(rng.choices(sums, k=len(sums))) for _ in range(resamples)]


def _mcnemar(one: int, other: int) -> float:
    n, k = one + other, min(one, other)
    return float(min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n))


def pass_at_k(right: Sequence[int], samples: int, k: int) -> float:
    """The mean probability that one of `k` samples of a problem is right, if `right` of `samples` were (Chen et al.
    2021).
    """
    if not right or not 1 <= k <= samples:
        raise ValueError("pass@k needs a problem and k of 1 to the number of samples")
    return fmean(1 - comb(samples - count, k) / comb(samples, k) for count in right)


def problems_needed(gap: float, accuracy: float, agreement: float = 0.0, power: float = 0.8) -> int:
    """The number of problems that show a difference of `gap` (a share) at 95 %, with the given `power`.

    `accuracy` is about that of both runs. `agreement` is their correlation over problems: 0 for different problems, 0.5
    and more for the same problems at two budgets of one model. Raises ValueError if the gap is not between 0 and 1.
    """
    if not 0 < gap < 1 or not 0 <= agreement < 1:
        raise ValueError("give a gap between 0 and 1, and an agreement of at least 0 and below 1")
    deviation = sqrt(2 * accuracy * (1 - accuracy) * (1 - agreement))
    reach = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(power)
    return max(1, -int(-((reach * deviation / gap) ** 2) // 1))


def pairs_needed(gains: Sequence[float], power: float = 0.8) -> int | None:
    """The number of problems that show a difference as large as the mean of `gains` (ours minus theirs, by problem) at
    95 %, with the given `power`; None if there is no difference, or only one problem.
    """
    if len(gains) < 2 or not (gap := fmean(gains)):
        return None
    reach = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(power)
    return max(2, -int(-((reach * stdev(gains) / gap) ** 2) // 1))
