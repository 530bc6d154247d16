"""The loss of a chosen budget is honest: over samples of known populations its interval holds the true loss.

`python -m tests.evaluate.test_losses 400` prints the table of docs/evaluate.md.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from z1.evaluate import losses
from z1.evaluate.losses import BudgetLosses, ChosenBudget

PROBES = Path(__file__).parents[3] / "shared" / "data" / "gemma4_gpqa_probes.jsonl.gz"

Scores = NDArray[Any]
Population = Callable[[int, np.random.Generator], Scores]
"""Draws the scores of so many problems at each budget [N, W]."""

BUDGETS = np.linspace(0, 1, 8)


def plateau(n: int, rng: np.random.Generator) -> Scores:
    """Accuracy rises and then stays; one answer in twenty is flipped."""
    is_solvable = rng.random((n, 1)) < 0.75
    return (is_solvable & (rng.beta(1, 4, (n, 1)) <= BUDGETS)) ^ (rng.random((n, 8)) < 0.05)


def overthinking(n: int, rng: np.random.Generator) -> Scores:
    """Accuracy rises, and some problems are lost again by thinking on."""
    known = (rng.beta(1, 3, (n, 1)) <= BUDGETS) & (0.6 + rng.exponential(1.5, (n, 1)) >= BUDGETS)
    return ((rng.random((n, 1)) < 0.7) & known) ^ (rng.random((n, 8)) < 0.08)


def equal(n: int, rng: np.random.Generator) -> Scores:
    """Thinking changes nothing; one answer in ten is flipped."""
    return (rng.random((n, 1)) < 0.6) ^ (rng.random((n, 8)) < 0.1)


def independent(n: int, rng: np.random.Generator) -> Scores:
    """Budgets have nothing in common, and rise by 10 points."""
    return rng.random((n, 8)) < np.linspace(0.45, 0.55, 8)


def nearly_all_right(n: int, rng: np.random.Generator) -> Scores:
    """99 % right with any thinking, 95 % without."""
    return rng.random((n, 8)) < np.array([0.95, *[0.99] * 7])


def sampled(n: int, rng: np.random.Generator) -> Scores:
    """Four samples of each problem, as their mean."""
    chances = np.clip(rng.beta(1, 1, (n, 1)) + 0.2 * BUDGETS, 0, 1)
    return rng.binomial(4, chances) / 4


def probes() -> Population:
    """198 questions of GPQA, with the answer forced after 0, 10, ... 100 % of a published thought."""
    rows = [json.loads(line) for line in gzip.decompress(PROBES.read_bytes()).splitlines()]
    right = np.array([[probe["right"] for probe in row["probes"]] for row in rows], float)
    return lambda n, rng: right[rng.integers(0, len(right), n)]


POPULATIONS: dict[str, Population] = {
    population.__name__: population
    for population in (plateau, overthinking, equal, independent, nearly_all_right, sampled)
}


def simulate(population: Population, n: int, max_drop: float, repeats: int) -> tuple[list[ChosenBudget], Scores]:
    """What is chosen in each of `repeats` samples of `n` problems, and its true loss."""
    accuracy = np.mean([population(20_000, np.random.default_rng(99 + k)).mean(axis=0) for k in range(10)], axis=0)
    rng = np.random.default_rng(1)
    chosen = [BudgetLosses(population(n, rng).astype(float).tolist()).choose(max_drop) for _ in range(repeats)]
    return chosen, np.array([accuracy.max() - accuracy[one.index] for one in chosen])


def covered(chosen: list[ChosenBudget], true: Scores) -> float:
    """The share of intervals that hold the true loss, up to the error of the population's own accuracy."""
    inside = [one.loss.low - 2e-3 <= loss <= one.loss.high + 2e-3 for one, loss in zip(chosen, true, strict=True)]
    return float(np.mean(inside))


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "RESAMPLES", 200)
    monkeypatch.setattr(losses, "NESTED_RESAMPLES", 50)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("n", [24, 150])
def test_the_interval_of_a_chosen_budget_holds_its_true_loss(name: str, n: int) -> None:
    chosen, true = simulate(POPULATIONS[name], n, 0.03, 100)
    assert covered(chosen, true) >= 0.93
    assert np.mean([one.loss.value for one in chosen]) >= np.mean(true) - 0.01
    assert all(loss <= 0.03 + 2e-3 for one, loss in zip(chosen, true, strict=True) if one.is_shown)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.skipif(not PROBES.exists(), reason="needs ../shared/data/gemma4_gpqa_probes.jsonl.gz")
def test_published_probes_of_gpqa_are_not_said_to_lose_nothing() -> None:
    population = probes()
    chosen, true = simulate(population, 99, 0.01, 100)
    in_sample = [one.loss.value - one.selection_bias for one in chosen]
    assert covered(chosen, true) >= 0.95
    assert max(in_sample) < 1e-6  # chosen and measured on the same problems: 0 by construction
    assert np.mean(true) > 0.01
    assert np.mean(true) - 0.01 < np.mean([one.loss.value for one in chosen]) < np.mean(true) + 0.01
    assert not any(one.is_shown for one in chosen)


def test_the_interval_shrinks_with_the_problems_and_a_clear_winner_is_shown() -> None:
    rng = np.random.default_rng(0)
    few, many = (BudgetLosses(plateau(n, rng).astype(float).tolist()).choose(0.05) for n in (60, 3000))
    assert few.loss.high > 0.05 > many.loss.high > 0
    assert (few.is_shown, many.is_shown) == (False, True)
    clear = BudgetLosses([[0.0, float(k % 10 > 0)] for k in range(60)]).choose(0.01)
    assert (clear.index, clear.loss, clear.is_shown) == (1, (0, 0, 0), True)


def test_equal_scores_are_no_proof_of_equality() -> None:
    found = BudgetLosses([[1.0, 1.0]] * 24)
    assert [interval.value for interval in found.intervals()] == [0, 0]
    assert all(0.05 < interval.high < 0.2 for interval in found.intervals())
    assert found.choose(0.01).index == 0


def print_table(repeats: int) -> None:
    """Coverage and bias for every population."""
    populations = {**POPULATIONS, **({"GPQA probes": probes()} if PROBES.exists() else {})}
    print(
        "| population | problems | true loss | on the same problems | corrected | covered | shown | shown and untrue |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, population in populations.items():
        for n in (24, 100, 400):
            chosen, true = simulate(population, n, 0.03, repeats)
            corrected = 100 * float(np.mean([one.loss.value for one in chosen]))
            naive = corrected - 100 * float(np.mean([one.selection_bias for one in chosen]))
            shown = [loss for one, loss in zip(chosen, true, strict=True) if one.is_shown]
            print(
                f"| {name.replace('_', ' ')} | {n} | {100 * true.mean():.1f} | {naive:.1f} | {corrected:.1f} "
                f"| {covered(chosen, true):.1%} | {len(shown) / repeats:.0%} | {sum(loss > 0.032 for loss in shown)} |",
                flush=True,
            )


if __name__ == "__main__":
    print_table(int(sys.argv[1]))
