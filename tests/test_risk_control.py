"""Bounds on risk hold in simulated calibrations from known populations, and false alarms are rare."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from z1.errors import UserError
from z1.risk_control import RiskMonitor, binomial_tail, conformal, learn_then_test, p_value, required_problems

RISKS = np.array([0.002, 0.01, 0.02, 0.03, 0.04, 0.045, 0.049, 0.051, 0.055, 0.06, 0.08, 0.12])
"""The true risk of each threshold of the populations, from the most careful one."""

SIMULATIONS, MAX_RISK, CONFIDENCE = 1_000, 0.05, 0.95
SIZES = pytest.mark.parametrize("problems", [99, 198, 500, 1000])


def nested(rng: np.random.Generator, problems: int) -> NDArray[np.float64]:
    """Losses of 0 and 1 [thresholds, problems]; what a threshold loses, every more aggressive one loses too."""
    return (rng.random(problems) < RISKS[:, None]).astype(float)


def steep(rng: np.random.Generator, problems: int) -> NDArray[np.float64]:
    """A careful threshold, and then those that are just above the bound: the worst case of a fixed sequence."""
    risks = np.where(RISKS > MAX_RISK, RISKS, RISKS[0])
    return (rng.random((len(RISKS), problems)) < risks[:, None]).astype(float)


def fractions(rng: np.random.Generator, problems: int) -> NDArray[np.float64]:
    """The mean of four samples of each problem; problems differ in their risk, so samples are not independent."""
    own = rng.beta(0.3, 0.3 / RISKS[:, None] - 0.3, (len(RISKS), problems))
    return np.asarray(rng.binomial(4, own) / 4)


def violations(population: Callable[[np.random.Generator, int], NDArray[np.float64]], problems: int, count: int) -> int:
    """Simulations in which the true risk of the chosen threshold is above the bound."""
    rng, found = np.random.default_rng(problems), 0
    for _ in range(count):
        chosen = learn_then_test(population(rng, problems).tolist(), MAX_RISK, CONFIDENCE)
        found += chosen is not None and RISKS[chosen] > MAX_RISK
    return found


@SIZES
@pytest.mark.parametrize("population", [nested, steep], ids=lambda one: one.__name__)
def test_the_true_risk_is_above_the_bound_in_at_most_one_calibration_of_twenty(
    population: Callable[[np.random.Generator, int], NDArray[np.float64]], problems: int
) -> None:
    """At most 68 of 1,000 are allowed: a rate of 5 % has more in one run of a hundred and fifty."""
    assert violations(population, problems, SIMULATIONS) <= 68


@pytest.mark.parametrize("problems", [99, 500])
def test_the_bound_holds_for_problems_with_several_samples(problems: int) -> None:
    assert violations(fractions, problems, 200) <= 19  # as above, for 200 simulations


@SIZES
def test_conformal_risk_control_bounds_the_mean_risk(problems: int) -> None:
    rng, risks = np.random.default_rng(problems), []
    for _ in range(count := 20_000 // problems):
        chosen = conformal(nested(rng, problems).tolist(), MAX_RISK)
        risks.append(0.0 if chosen is None else RISKS[chosen])
    assert np.mean(risks) <= MAX_RISK + 2.5 * np.std(risks) / np.sqrt(count)


def test_more_problems_show_more_aggressive_thresholds() -> None:
    rng = np.random.default_rng(0)
    means = []
    for problems in (99, 500, 5000):
        chosen = [learn_then_test(nested(rng, problems).tolist(), MAX_RISK, CONFIDENCE) for _ in range(50)]
        means.append(np.mean([-1 if one is None else one for one in chosen]))
    assert means == sorted(means)
    assert means[-1] > 4


def test_alarms_are_rare_without_a_risk_and_quick_with_one() -> None:
    rng = np.random.default_rng(3)

    def delay(risk: float, length: int) -> int | None:
        monitor = RiskMonitor(MAX_RISK, CONFIDENCE)
        return next((n for n, loss in enumerate(rng.random(length) < risk) if monitor.add(float(loss))), None)

    false_alarms = sum(delay(MAX_RISK, 1000) is not None for _ in range(400))
    assert false_alarms <= 31  # 5 % of 400 has more in one run of two hundred
    delays = [delay(0.2, 1000) for _ in range(100)]
    assert None not in delays
    assert np.median([one for one in delays if one is not None]) < 60


def test_an_alarm_is_final() -> None:
    monitor = RiskMonitor(0.05)
    for _ in range(20):
        monitor.add(1.0)
    assert monitor.alarm and monitor.evidence > 20
    for _ in range(2000):
        assert monitor.add(0.0)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_the_tail_is_that_of_the_binomial_distribution(n: int, hits: int, p: float) -> None:
    exact = sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(hits, n) + 1))
    assert binomial_tail(min(hits, n), n, p) == pytest.approx(exact, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_a_p_value_is_a_probability(losses: list[float], max_risk: float) -> None:
    assert 0 <= p_value(losses, max_risk) <= 1


@pytest.mark.parametrize(("max_risk", "confidence", "needed"), [(0.05, 0.95, 59), (0.01, 0.95, 299), (0.05, 0.99, 90)])
def test_so_many_problems_without_a_loss_show_the_bound_and_one_fewer_does_not(
    max_risk: float, confidence: float, needed: int
) -> None:
    assert required_problems(max_risk, confidence) == needed
    assert p_value([0.0] * needed, max_risk) <= 1 - confidence < p_value([0.0] * (needed - 1), max_risk)
    assert learn_then_test([[0.0] * needed], max_risk, confidence) == 0
    with pytest.raises(UserError, match=f"got {needed - 1}; give {needed} or more"):
        learn_then_test([[0.0] * (needed - 1)], max_risk, confidence)


def test_the_first_threshold_that_is_not_shown_ends_the_tests() -> None:
    good, bad = [0.0] * 100, [1.0] * 100
    assert learn_then_test([good, good, bad, good], 0.05, 0.95) == 1
    assert learn_then_test([bad, good], 0.05, 0.95) is None


@pytest.mark.parametrize(
    ("max_risk", "confidence", "message"),
    [
        (0.0, 0.95, "maximum risk"),
        (1.0, 0.95, "maximum risk"),
        (5, 0.95, "maximum risk"),
        (0.05, 95, "confidence level"),
    ],
)
def test_bounds_that_are_no_shares_are_refused(max_risk: float, confidence: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        learn_then_test([[0.0] * 100], max_risk, confidence)


def test_no_problems_are_refused() -> None:
    none: tuple[list[list[float]], ...] = ([], [[]])
    for losses in none:
        with pytest.raises(UserError, match="problems to calibrate on: got 0"):
            learn_then_test(losses, 0.05, 0.95)
