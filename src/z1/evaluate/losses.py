"""Accuracy lost at each thinking budget against the best one, with intervals that hold for a budget chosen by them.

The budget with the best score is partly lucky. A budget that is chosen by its score and measured on the same problems
therefore looks better than it is, and the best one loses 0 by construction. Two answers to that:

- The intervals hold for all budgets at once, so also for the chosen one ("multiple comparisons with the best", Hsu
  1984, Annals of Statistics 12). All pairs of budgets are compared problem by problem. How many standard errors the
  largest of a budget's comparisons stays within (97.5 %) is read off a bootstrap over problems.
- The value of the chosen budget is corrected for the choice by nested resampling (Efron and Tibshirani 1993, section
  17.6): in each resample the choice is made again, and its loss there is compared with its loss on all problems. The
  mean difference is the selection bias.

Each comparison has two pseudo-problems, of which each budget wins one (Bonett and Price 2012, Journal of Educational
and Behavioral Statistics 37): equal scores on 24 problems do not show that two budgets are equal.

Shapes: `B` resamples, `N` problems, `W` thinking budgets in ascending order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from z1.evaluate.intervals import Z
from z1.records import Interval

Array = NDArray[np.float64]

RESAMPLES, NESTED_RESAMPLES = 1000, 400

SEED = 0


class Comparisons(NamedTuple):
    """All pairs of budgets: the mean score of each [..., W], and how much more each row has than each column, with its
    standard error [..., W, W].
    """

    means: Array
    differences: Array
    errors: Array


@dataclass(frozen=True, slots=True)
class ChosenBudget:
    """The budget with position `index`, its loss, and by how much its loss on the same problems understates that.

    `is_shown` if the upper end of the loss is within the drop that was allowed.
    """

    index: int
    loss: Interval
    selection_bias: float
    is_shown: bool


class BudgetLosses:
    """The losses of all budgets on one set of problems; `right` [N, W] is the share of right samples."""

    def __init__(self, right: Sequence[Sequence[float]]) -> None:
        self._right, n = np.asarray(right, np.float64), len(right)
        self._all = _compare(self._right, np.ones((1, n)))
        self._counts = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
        self._critical = self._critical_value()

    def intervals(self) -> list[Interval]:
        """The loss of each budget against the best one; 95 % for all of them together."""
        low, value, high = (ends[0] for ends in self._ends(self._all))
        return [Interval(*map(float, ends)) for ends in zip(low, value, high, strict=True)]

    def choose(self, max_drop: float) -> ChosenBudget:
        """The smallest budget whose loss is at most `max_drop` by the upper end of its interval; without one, the
        budget with the best score.
        """
        index = int(self._choices(self._all, max_drop)[0])
        low, value, high = self.intervals()[index]
        bias = self._selection_bias(max_drop)
        loss = Interval(low, min(max(value + bias, low), high), high)
        return ChosenBudget(index, loss, bias, high <= max_drop)

    def _critical_value(self) -> float:
        """The number of standard errors that hold for all comparisons of a budget with the others."""
        means = self._counts @ self._right / len(self._right)
        resampled = means[:, :, None] - means[:, None, :]
        distances = (self._all.differences - resampled) / self._all.errors
        largest = _others(distances).max(axis=2)
        return max(Z, float(np.quantile(largest, 0.975, axis=0).max()))

    def _ends(self, found: Comparisons) -> tuple[Array, Array, Array]:
        """Low end, value and high end of the loss of each budget [..., W]: the largest over all that may be best."""
        reach = self._critical * found.errors
        ends = (found.differences - reach, found.differences, found.differences + reach)
        low, value, high = (np.maximum(0.0, _others(end).max(axis=-2)) for end in ends)
        return low, value, high

    def _choices(self, found: Comparisons, max_drop: float) -> NDArray[np.int64]:
        is_enough = self._ends(found)[2] <= max_drop
        return np.where(is_enough.any(axis=-1), is_enough.argmax(axis=-1), found.means.argmax(axis=-1))

    def _selection_bias(self, max_drop: float) -> float:
        resampled = _compare(self._right, self._counts[:NESTED_RESAMPLES])
        chosen = self._choices(resampled, max_drop)
        (means,) = self._all.means
        seen = resampled.means.max(axis=-1) - resampled.means[np.arange(len(chosen)), chosen]
        return float(np.mean((means.max() - means[chosen]) - seen))


def _compare(right: Array, counts: NDArray[np.int64] | Array) -> Comparisons:
    """The comparisons of resamples in which problem n occurs `counts` [B, N] times."""
    n, budgets = right.shape
    means = np.round(counts @ right / n, 12)  # equal scores are equal whatever the order of their sums
    products = (counts @ (right[:, :, None] * right[:, None, :]).reshape(n, -1) / n).reshape(-1, budgets, budgets)
    squares = np.einsum("bww->bw", products)
    differences = means[:, :, None] - means[:, None, :]
    squared = squares[:, :, None] + squares[:, None, :] - 2 * products
    with_pseudo = n * differences / (n + 2)
    errors = np.sqrt(((n * squared + 2) / (n + 2) - with_pseudo**2) / (n + 2))
    return Comparisons(means, differences, errors)


def _others(pairs: Array) -> Array:
    """`pairs` [..., W, W] without the comparisons of a budget with itself."""
    return np.where(np.eye(pairs.shape[-1], dtype=bool), -np.inf, pairs)
