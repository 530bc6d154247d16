"""Risk control: thresholds of a policy whose risk is bounded, and a monitor that raises an alarm when it is not.

A *loss* is a number from 0 to 1 of one problem, such as 1 where ending the thought early lost a right answer; the
*risk* is its mean over all problems that may come. Thresholds are given from the most careful to the most aggressive
one, in an order that does not depend on these losses.

    learn_then_test   independent problems of one distribution: with probability `confidence` over the problems drawn,
                      the risk of the chosen threshold is at most `max_risk` (arXiv 2110.01052, fixed-sequence testing)
    conformal         exchangeable problems, losses that grow with the threshold: the mean risk over all draws of the
                      problems is at most `max_risk`; nothing is said about one draw (arXiv 2208.02814)
    RiskMonitor       a test martingale over a stream of losses: a false alarm ever occurs with probability at most
                      1 - confidence while the risk is at most `max_risk` (arXiv 2010.09686, 2409.15844)

Rows of one conversation or user are not independent: give one loss for each of these clusters, its mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import ceil, exp, lgamma, log, log1p

from z1.errors import UserError

MAX_BET = 0.75
"""The largest bet, as a share of the one that could ruin the bettor."""


@lru_cache(maxsize=4096)
def binomial_tail(hits: int, n: int, p: float) -> float:
    """The probability of at most `hits` successes in `n` independent trials with probability `p` (0 < p < 1)."""
    logs = (
        lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p) for k in range(hits + 1)
    )
    return min(1.0, sum(map(exp, logs)))


def p_value(losses: Sequence[float], max_risk: float) -> float:
    """A p-value of the hypothesis that the risk is above `max_risk`: exact for losses of 0 and 1, else by betting."""
    if all(loss in (0, 1) for loss in losses):
        return binomial_tail(int(sum(losses)), len(losses), max_risk)
    return min(1.0, 1 / max(_capital([1 - loss for loss in losses], 1 - max_risk)))


def required_problems(max_risk: float, confidence: float) -> int:
    """The smallest number of problems that can show a risk of at most `max_risk`: with it, none may have a loss."""
    return ceil(log(1 - confidence) / log1p(-max_risk))


def learn_then_test(losses: Sequence[Sequence[float]], max_risk: float, confidence: float) -> int | None:
    """The index of the most aggressive threshold that is shown to have a risk of at most `max_risk`; None if none is.

    `losses` [thresholds][problems]. Thresholds are tested in order, and the first that is not shown ends the tests.
    Raises UserError for a bound that no outcome of so few problems could show.
    """
    _check_share("maximum risk", max_risk)
    _check_share("confidence level", confidence)
    _check_problems(losses)
    needed, count = required_problems(max_risk, confidence), len(losses[0])
    if count < needed:
        do = f"give {needed} or more for a risk of {max_risk:g} at confidence {confidence:g}"
        raise UserError("problems to calibrate on", count, do)
    chosen = None
    for index, of_threshold in enumerate(losses):
        if p_value(of_threshold, max_risk) > 1 - confidence:
            break
        chosen = index
    return chosen


def conformal(losses: Sequence[Sequence[float]], max_risk: float) -> int | None:
    """The index of the most aggressive threshold whose mean risk is at most `max_risk`; None if none is.

    `losses` [thresholds][problems]; a problem's loss is made to grow with the threshold, as the method requires.
    """
    _check_share("maximum risk", max_risk)
    _check_problems(losses)
    count = len(losses[0])
    growing = zip(*(accumulate(of_problem, max) for of_problem in zip(*losses, strict=True)), strict=True)
    chosen = None
    for index, of_threshold in enumerate(growing):
        if (sum(of_threshold) + 1) / (count + 1) > max_risk:
            break
        chosen = index
    return chosen


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise UserError(name, value, "give a share between 0 and 1, such as 0.05")


def _check_problems(losses: Sequence[Sequence[float]]) -> None:
    if not losses or not losses[0]:
        raise UserError("problems to calibrate on", 0, "evaluate some first")


class RiskMonitor:
    """Watches the losses of requests that are drawn independently of the policy; `alarm` is final.

    The capital of a bettor who is paid when losses are above `max_risk`: without such a risk it exceeds
    1 / (1 - confidence) with probability at most 1 - confidence, however long it is watched.
    """

    def __init__(self, max_risk: float, confidence: float = 0.95) -> None:
        _check_share("maximum risk", max_risk)
        _check_share("confidence level", confidence)
        self._bettor = _Bettor(max_risk)
        self._needed = 1 / (1 - confidence)
        self.alarm = False

    @property
    def evidence(self) -> float:
        """The capital; its inverse bounds the probability of seeing so much without a risk above the maximum."""
        return self._bettor.capital

    def add(self, loss: float) -> bool:
        """Add a loss; returns `alarm`."""
        self._bettor.add(loss)
        self.alarm = self.alarm or self._bettor.capital >= self._needed
        return self.alarm


class _Bettor:
    """Bets that values from 0 to 1 have a mean above `mean`. The bet before each value depends on earlier ones only.

    The bet is the mean excess over the mean square of the excess, which approximates the fastest growth of capital
    (arXiv 2010.09686, section B.2); it is at least 0 and at most `MAX_BET` of the one that could ruin the bettor.
    """

    def __init__(self, mean: float) -> None:
        self.mean, self.capital = mean, 1.0
        self._count, self._excess, self._square = 1, 0.0, 0.25

    def add(self, value: float) -> None:
        """Bet on one more value."""
        excess = value - self.mean
        bet = min(max(0.0, self._excess / self._square), MAX_BET / self.mean)  # 1 / mean loses all on a value of 0
        self.capital *= 1 + bet * excess
        self._count += 1
        self._excess += excess
        self._square += excess * excess


def _capital(values: Iterable[float], mean: float) -> Iterable[float]:
    """The capital after each value of a bettor on a mean above `mean`, and the 1 that it begins with."""
    bettor = _Bettor(mean)
    yield 1.0
    for value in values:
        bettor.add(value)
        yield bettor.capital


__all__ = ["RiskMonitor", "binomial_tail", "conformal", "learn_then_test", "p_value", "required_problems"]
