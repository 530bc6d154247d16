"""Intervals have their stated coverage."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.evaluate import intervals
from z1.records import Interval


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_interval_is_that_of_the_textbook(hits: int, n: int, low: float, high: float) -> None:
    """The last row is Newcombe's example (1998, Statistics in Medicine 17, table I)."""
    found = intervals.share(hits, n)
    assert found == pytest.approx([low, hits / n, high], abs=6e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval_inside_zero_and_one(case: tuple[int, int]) -> None:
    low, value, high = intervals.share(*case)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0


def test_a_share_without_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        intervals.share(0, 0)


def test_a_mean_interval_covers_the_truth_in_about_95_of_100() -> None:
    rng = random.Random(0)
    covered = 0
    for _ in range(400):
        low, _, high = intervals.mean([rng.gauss(3, 2) for _ in range(40)])
        covered += low <= 3 <= high
    assert 0.92 < covered / 400 < 0.98


def test_a_single_value_has_no_spread() -> None:
    assert intervals.mean([4.0]) == Interval(4.0, 4.0, 4.0)


@given(st.lists(st.booleans(), min_size=1))
def test_clusters_of_one_are_no_clusters(values: list[bool]) -> None:
    alone = [[value] for value in values]
    assert intervals.clustered_share([*alone, []]) == pytest.approx(intervals.share(sum(values), len(values)))
    numbers = [float(value) for value in values]
    assert intervals.clustered_mean([[n] for n in numbers]) == pytest.approx(intervals.mean(numbers))


def test_clustered_intervals_cover_the_truth_where_plain_ones_do_not() -> None:
    rng = random.Random(1)
    clustered = plain = 0
    for _ in range(300):
        chances = [rng.betavariate(0.6, 0.6) for _ in range(60)]  # problems are mostly always or never solved
        groups = [[rng.random() < chance for _ in range(8)] for chance in chances]
        low, _, high = intervals.clustered_share(groups)
        clustered += low <= 0.5 <= high
        low, _, high = intervals.share(sum(map(sum, groups)), 480)
        plain += low <= 0.5 <= high
    assert 0.91 < clustered / 300 < 0.99
    assert plain / 300 < 0.8


def test_a_clustered_share_that_is_whole_still_has_an_interval() -> None:
    low, value, high = intervals.clustered_share([[True] * 8 for _ in range(10)])
    assert (value, high) == (1, 1)
    assert low == pytest.approx(0.7225, abs=1e-4)
    with pytest.raises(ValueError, match="at least one value"):
        intervals.clustered_share([[], []])


Z1_GPQA = [(256, 0.253), (510, 0.288), (946, 0.333), (1548, 0.419), (2470, 0.475)]
R1_GPQA = [(512, 0.182), (1011, 0.192), (1971, 0.263), (3607, 0.354)]


def test_s1s_scaling_of_the_papers_table_6() -> None:
    """Mean slopes over all pairs of Z1's Table 6, in points per 1,000 tokens: 11.04 for Z1-7B and 5.39 for
    R1-Distill.
    """
    assert intervals.scaling(Z1_GPQA) == pytest.approx(11.04, abs=0.01)
    assert intervals.scaling(R1_GPQA) == pytest.approx(5.39, abs=0.01)


def test_scaling_leaves_out_points_of_equal_tokens() -> None:
    assert intervals.scaling([(10.0, 0.5), (10.0, 0.7)]) is None
    assert intervals.scaling([(0.0, 0.0), (1000.0, 0.5), (1000.0, 0.5)]) == pytest.approx(50.0)


def test_performance_is_the_best_accuracy() -> None:
    assert intervals.performance(Z1_GPQA) == 0.475


def test_control_is_the_share_of_runs_within_their_allowance() -> None:
    assert intervals.control([(10.0, 16.0), (16.0, 16.0), (33.0, 32.0), (5.0, 64.0)]) == 0.75
    assert math.isclose(intervals.control([(17.0, 16.0)]), 0.0)
