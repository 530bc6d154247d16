"""Bounds of exit policies hold in simulated calibrations from a known population, combiner and order included.

python -m tests.evaluate.test_exit_bounds 1000      the table of docs/evaluate.md
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from z1.errors import UserError
from z1.evaluate.exit_bounds import (
    PolicyBound,
    ProbedThought,
    RiskLimit,
    exit_indices,
    order_minimums,
    policy_bound,
    problems_needed,
)
from z1.evaluate.intervals import share
from z1.exit_policy import POLICIES, AnswerConfidence, ExitMinimums, ProbeHistory, features

POOL, PROBES, EVERY = 20_000, 6, 50
LIMIT = RiskLimit("changed_answer", 0.05, 0.95)
SIZES = (99, 198, 500, 1000)


@lru_cache
def population() -> list[ProbedThought]:
    """Thoughts whose answer becomes final at some probe, or not before the end; a sure answer is final more often, and
    a guess before it often stays the same.
    """
    rng = np.random.default_rng(1)
    made = []
    for number in range(POOL):
        final_at = rng.geometric(0.35) - 1
        history, signals, losses = ProbeHistory(), [], []
        guess = "0"
        for index in range(PROBES):
            is_final = index >= final_at
            p = float(1 / (1 + np.exp(-(rng.normal(3.5, 1.5) if is_final else rng.normal(0.5, 2.0)))))
            guess = str(index) if rng.random() < 0.3 else guess
            answer = "final" if is_final else guess
            confidence = AnswerConfidence(p, 2 * p - 1, 1 - p)
            signals.append(history.add(EVERY * (index + 1), answer, confidence))
            losses.append(0.0 if is_final else 1.0)
        probe = (2,) * PROBES
        made.append(ProbedThought(str(number), tuple(signals), tuple(losses), probe, probe, EVERY * (PROBES + 1.0)))
    return made


@lru_cache
def arrays() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The features of the population's probes at a mean thought of 1 [thoughts, probes, features], and the losses."""
    rows = [[features(one, EVERY * 1e6) for one in thought.signals] for thought in population()]
    return np.array(rows), np.array([thought.losses for thought in population()])


def true_risk(minimums: ExitMinimums | None) -> float:
    """The risk of an exit on the whole population."""
    if minimums is None:
        return 0.0
    if minimums.combiner is None:
        ends = [exit_indices([minimums], thought)[0] for thought in population()]
        lost = (0.0 if at is None else one.losses[at] for one, at in zip(population(), ends, strict=True))
        return sum(lost) / POOL
    values, losses = arrays()
    tokens = np.minimum(4.0, EVERY * np.arange(1, PROBES + 1) / minimums.combiner.mean_thought)
    weights = np.array(minimums.combiner.weights)
    scores = values[:, :, :-1] @ weights[:-2] + tokens * weights[-2] + weights[-1]
    assert minimums.combined is not None
    is_met = 1 / (1 + np.exp(-scores)) >= minimums.combined
    first = is_met.argmax(1)
    return float(np.where(is_met.any(1), losses[np.arange(POOL), first], 0.0).mean())


def calibrated(policy: str, problems: int, rng: np.random.Generator) -> PolicyBound:
    """The bound that problems drawn from the population give."""
    drawn = rng.integers(0, POOL, problems)
    return policy_bound(policy, [replace(population()[i], cluster=str(n)) for n, i in enumerate(drawn)], LIMIT)


def violations(policy: str, problems: int, count: int) -> tuple[int, float, float]:
    """Calibrations with a true risk above the bound, the mean true risk, and the mean share of the thought."""
    rng, risks, ratios = np.random.default_rng(problems), [], []
    known: dict[ExitMinimums, float] = {}
    for _ in range(count):
        bound = calibrated(policy, problems, rng)
        least = bound.minimums
        if least is None or least.combiner is not None:
            risks.append(true_risk(least))
        else:
            risks.append(known.setdefault(least, true_risk(least) if least not in known else 0.0))
        ratios.append(bound.thinking_ratio)
    return sum(risk > LIMIT.max_risk for risk in risks), float(np.mean(risks)), float(np.mean(ratios))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("policy", "problems"),
    [("combined", 99), pytest.param("both", 198, marks=SLOW), pytest.param("combined", 500, marks=SLOW)],
)
def test_the_true_risk_is_above_the_bound_in_at_most_one_calibration_of_twenty(policy: str, problems: int) -> None:
    found, _, ratio = violations(policy, problems, 40)
    assert found <= 6  # a rate of 5 % has more in one run of a hundred
    assert ratio < 1 or problems < 198


def test_true_risks_are_those_of_the_exits_themselves() -> None:
    bound = calibrated("combined", 500, np.random.default_rng(0))
    least = bound.minimums
    assert least is not None and least.combiner is not None
    ends = [exit_indices([least], thought)[0] for thought in population()[:2000]]
    lost = [0.0 if at is None else one.losses[at] for one, at in zip(population(), ends, strict=False)]
    assert abs(np.mean(lost) - true_risk(least)) < 0.02


def test_three_sets_are_disjoint_and_too_few_problems_are_refused() -> None:
    assert [problems_needed(policy, LIMIT) for policy in POLICIES] == [59, 59, 97, 97]
    bound = calibrated("combined", 99, np.random.default_rng(0))
    assert (bound.problems, bound.set_aside) == (61, 38)
    with pytest.raises(UserError, match="got 96; give 97 or more for the policy combined"):
        calibrated("combined", 96, np.random.default_rng(0))


def test_an_order_goes_from_careful_to_aggressive_and_drops_what_loses_more_for_less() -> None:
    clusters = [[one] for one in population()[:300]]
    order = order_minimums(POLICIES["both"], clusters)
    ends = [[exit_indices([least], one[0])[0] for one in clusters] for least in order]
    losses = [sum(0 if at is None else c[0].losses[at] for c, at in zip(clusters, row, strict=True)) for row in ends]
    tokens = [sum(350 if at is None else 50 * (at + 1) for at in row) for row in ends]
    assert losses == sorted(losses) and tokens == sorted(tokens, reverse=True)
    assert 1 < len(order) < len(POLICIES["both"])


if __name__ == "__main__":
    for name in ("both", "combined"):
        for size in SIZES:
            number, risk, ratio = violations(name, size, count := int(sys.argv[1]))
            low, value, high = share(number, count)
            print(f"| {name} | {size} | {value:.1%} [{low:.1%}, {high:.1%}] | {risk:.2%} | {ratio:.2f} |", flush=True)
