"""A logistic regression on the signals of probes: the estimated probability that an exit at a probe loses nothing.

Fitted by Newton's method with a ridge penalty on standardised features, so that it has a solution where a feature
separates the probes perfectly. Each thought has the same weight, however many probes it has.

Shapes: `N` probes, `F` features and, last, the intercept.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from z1.exit_policy import Combiner, ProbeSignals, features

RIDGE = 0.01
"""The penalty on squared weights, over the mean log-loss of a probe."""

MAX_STEPS, TOLERANCE = 50, 1e-8


def fit_combiner(
    signals: Sequence[Sequence[ProbeSignals]], losses: Sequence[Sequence[float]], thinking_tokens: Sequence[float]
) -> Combiner:
    """The combiner of thoughts, given by the signals of their probes, the loss of an exit at each, and their tokens."""
    mean_thought = fmean(thinking_tokens)
    rows = [features(one, mean_thought) for thought in signals for one in thought]
    if not rows:
        return Combiner((0.0,) * len(features(ProbeSignals(0, 0), 1.0)) + (0.0,), mean_thought)
    kept = 1 - np.array([loss for thought in losses for loss in thought])
    weights = np.array([1 / len(thought) for thought in signals for _ in thought])
    values = np.array(rows)
    mean, spread = values.mean(0), values.std(0)
    spread[spread == 0] = 1.0
    found = _fit((values - mean) / spread, kept, weights / weights.sum())
    slopes = found[:-1] / spread
    return Combiner((*map(float, slopes), float(found[-1] - slopes @ mean)), mean_thought)


def _fit(values: NDArray[np.float64], kept: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights [F + 1] for standardised features [N, F], shares kept [N] and weights of the probes [N]."""
    design = np.hstack([values, np.ones((len(values), 1))])
    penalty = np.full(design.shape[1], RIDGE)
    penalty[-1] = RIDGE / 10  # without it, probes that all lose nothing have no finite intercept
    found = np.zeros(design.shape[1])
    for _ in range(MAX_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        gradient = design.T @ (weights * (kept - p)) - penalty * found
        hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        found += step
        if np.abs(step).max() < TOLERANCE:
            break
    return found
