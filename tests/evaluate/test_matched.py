"""Tokens at matched accuracy give the ratios of the paper's table."""

from __future__ import annotations

import random

import pytest

from z1.evaluate.matched import common_accuracy, curve_of, ratio, ratio_with_interval, tokens_at
from z1.records import Interval

TABLE_6 = {
    "LiveCodeBench": (
        [(256, 30.3), (502, 31.9), (732, 35.0), (866, 35.3)],
        [(512, 13.9), (1023, 20.7), (1978, 28.8), (3580, 40.0)],
        35.3,
        0.298,
    ),
    "GPQA Diamond": (
        [(256, 25.3), (510, 28.8), (946, 33.3), (1548, 41.9), (2470, 47.5)],
        [(512, 18.2), (1011, 19.2), (1971, 26.3), (3607, 35.4)],
        35.4,
        0.303,
    ),
    "MATH500": (
        [(255, 37.2), (471, 55.8), (707, 71.2), (823, 74.2), (1185, 76.4)],
        [(512, 59.8), (719, 62.4), (1016, 72.0), (1337, 76.0), (1760, 83.4), (2541, 87.6)],
        76.4,
        0.871,
    ),
}
"""Z1-7B and R1-Distill-Qwen-7B: (average thinking tokens, pass@1), as arXiv 2504.00810 prints them."""


@pytest.mark.parametrize("name", TABLE_6)
def test_the_papers_table_6(name: str) -> None:
    ours, theirs, accuracy, wanted = TABLE_6[name]
    assert common_accuracy(ours, theirs) == accuracy
    found = ratio(ours, theirs)
    assert found is not None
    assert round(found, 3) == wanted


def test_between_points_a_straight_line() -> None:
    curve = [(100.0, 0.2), (300.0, 0.6), (400.0, 0.5)]
    assert tokens_at(curve, 0.2) == 100
    assert tokens_at(curve, 0.4) == pytest.approx(200)
    assert tokens_at(curve, 0.6) == 300
    assert tokens_at(curve, 0.55) == pytest.approx(275)  # the first time, not where it falls again
    assert tokens_at(curve, 0.7) is None
    assert tokens_at(curve, 0.1) is None


def test_level_curves_and_single_points() -> None:
    assert tokens_at([(10.0, 0.5), (20.0, 0.5)], 0.5) == 10
    assert tokens_at([(10.0, 0.5)], 0.5) == 10
    assert tokens_at([], 0.5) is None
    assert ratio([(10.0, 0.5), (20.0, 0.9)], [(10.0, 0.6), (20.0, 0.8)]) == pytest.approx(17.5 / 20)


def test_a_curve_that_begins_above_has_no_ratio() -> None:
    assert ratio([(10.0, 0.9), (20.0, 0.95)], [(10.0, 0.1), (20.0, 0.5)]) is None


def made(seed: int, scale: float) -> dict[str, list[tuple[float, bool]]]:
    chance = random.Random(seed)
    results = {}
    for n in range(200):
        need = chance.expovariate(1 / 400) * scale
        results[f"p{n}"] = [(float(w), w >= need) for w in (100, 300, 900, 2000)]
    return results


def test_the_interval_holds_the_value() -> None:
    ours, theirs = made(1, 0.5), made(2, 1.0)
    (low, value, high), share = ratio_with_interval(ours, theirs, resamples=100)
    assert low < value < high
    assert share > 0.9
    assert value == ratio(curve_of(ours, sorted(ours)), curve_of(theirs, sorted(theirs)))


def test_a_run_against_itself_needs_as_many_whichever_problems_are_drawn() -> None:
    ours = made(1, 0.5)
    assert ratio_with_interval(ours, ours, resamples=50) == (Interval(1, 1, 1), 1.0)


def test_runs_without_a_problem_in_common_are_an_error() -> None:
    with pytest.raises(ValueError, match="no problem in common"):
        ratio_with_interval({"a": [(1.0, True)]}, {"b": [(1.0, True)]})
    with pytest.raises(ValueError, match="begins above"):
        ratio_with_interval({"a": [(1.0, True)]}, {"a": [(1.0, False)]})
