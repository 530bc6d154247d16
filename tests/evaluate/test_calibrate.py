"""Reasoning efforts are calibrated from a sweep."""

from __future__ import annotations

import random
from dataclasses import asdict, replace

import pytest

from z1.errors import UserError
from z1.evaluate.calibrate import UNLIMITED, Calibration, calibrate
from z1.records import Attempt
from z1.think import Ledger

NAMES = {"run": "r evaluate-1", "model": "m", "benchmark": "b"}
NEEDS = [0, 10, 20, 30]


def attempts(needs: list[int], windows: tuple[int | None, ...] = (0, 10, 20, None)) -> list[Attempt]:
    """A model that is right as soon as its window holds what the problem needs."""
    made = []
    for number, need in enumerate(needs):
        for window in windows:
            right = window is None or window >= need
            used = need if right else window
            ledger = asdict(Ledger(thought=used or 0))
            verdict = "right" if right else "wrong"
            made.append(Attempt(f"p{number}", window, 0, [], [], [], [], ledger, "stop", "natural", verdict, "", ""))
    return made


def made(needs: list[int], within: float = 0.01) -> Calibration:
    return calibrate(attempts(needs), within, NAMES)


def test_efforts_buy_shares_of_the_gain() -> None:
    found = made(NEEDS * 25)
    assert found.efforts == {
        **{"none": 0, "minimal": 10, "low": 20},
        **dict.fromkeys(["medium", "high", "xhigh", "max"], UNLIMITED),
    }
    assert [row.accuracy[1] for row in found.rows] == [0.25, 0.5, 0.75, 1.0]
    assert [row.loss[1] for row in found.rows] == [0.75, 0.5, 0.25, 0.0]


def test_efforts_do_not_think_if_thinking_gains_nothing() -> None:
    found = made([0] * 20)
    assert set(found.efforts.values()) == {0, UNLIMITED} and found.efforts["xhigh"] == 0
    assert found.sufficient_budget == 0 and found.thinking_saved == 0


def test_the_sufficient_budget_uses_the_upper_end_of_the_interval() -> None:
    needs = [0] * 97 + [30] * 3
    assert made(needs, within=0.04).sufficient_budget == UNLIMITED  # 3 % are seen to be lost, up to 7 % may be
    assert made(needs, within=0.10).sufficient_budget == 0
    assert made(needs, within=0.10).thinking_saved == 1.0


def test_the_best_of_a_few_problems_is_not_shown_to_be_enough() -> None:
    found = made(NEEDS * 6, within=0.01)
    assert (found.sufficient_budget, found.is_shown) == (UNLIMITED, True)  # 25 points better than any other
    chance = random.Random(1)
    found = calibrate(noisy(24, chance), 0.01, NAMES)
    assert not found.is_shown
    assert found.loss.low == 0 < found.loss.value < found.loss.high
    assert 0 < found.selection_bias <= found.loss.value + 1e-9


def noisy(problems: int, chance: random.Random, samples: int = 1) -> list[Attempt]:
    """A model that is right by chance, at every budget the same."""
    made = attempts([0] * problems, (0, 10, 20, None)) * samples
    return [
        replace(one, sample=n // (4 * problems), verdict=chance.choice(["right", "wrong"]))
        for n, one in enumerate(made)
    ]


def test_several_samples_of_a_problem_are_one_problem_with_their_mean() -> None:
    drawn = noisy(40, random.Random(4))
    repeated = [replace(one, sample=sample) for sample in range(4) for one in drawn]
    assert calibrate(repeated, 0.05, NAMES) == calibrate(drawn, 0.05, NAMES)
    once, often = (calibrate(noisy(40, random.Random(5), samples), 0.05, NAMES) for samples in (1, 4))
    assert often.loss.high < once.loss.high


def test_no_interval_is_a_point() -> None:
    found = made([0] * 24, within=0.01)
    assert (found.sufficient_budget, found.loss.low, found.is_shown) == (0, 0, False)
    assert all(row.loss.high > 0.05 and row.accuracy.low < 1 for row in found.rows)


def test_missing_attempts_leave_their_problem_out() -> None:
    given = attempts(NEEDS * 3)
    given[0] = Attempt("p0", 0, 0, [], [], [], [], asdict(Ledger()), "aborted", "", "missing", "fault", "")
    assert calibrate(given, 0.01, NAMES).problems == 11


@pytest.mark.parametrize("drop", [-0.1, 1.0, float("nan")])
def test_the_accuracy_drop_is_a_share(drop: float) -> None:
    with pytest.raises(UserError, match="max_accuracy_drop"):
        made(NEEDS, drop)


def test_one_budget_or_one_problem_is_refused() -> None:
    with pytest.raises(UserError, match="1 thinking budgets and 4 problems"):
        calibrate(attempts(NEEDS, (None,)), 0.01, NAMES)
