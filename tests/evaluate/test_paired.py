"""Paired comparisons agree with theory, and a comparison without problems is an error."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.evaluate.paired import bootstrap, difference, difference_of_shares, pass_at_k, problems_needed

RUNS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.tuples(st.booleans(), st.booleans()), min_size=1)


@given(RUNS)
def test_a_run_against_itself_is_no_difference(runs: dict[str, tuple[bool, bool]]) -> None:
    one = {name: both[0] for name, both in runs.items()}
    found = difference(one, one, resamples=200)
    assert found.interval.low < found.interval.value == 0 < found.interval.high
    assert (found.only_ours, found.only_theirs, found.p_value) == (0, 0, 1.0)


@given(RUNS)
def test_swapping_the_runs_changes_the_sign(runs: dict[str, tuple[bool, bool]]) -> None:
    ours, theirs = ({name: both[k] for name, both in runs.items()} for k in (0, 1))
    one, other = difference(ours, theirs, resamples=20), difference(theirs, ours, resamples=20)
    assert one.interval[1] == -other.interval[1]
    assert one.p_value == other.p_value


def test_pairing_sees_what_two_intervals_do_not() -> None:
    """Twenty problems gained and none lost of 200: sure in pairs, while each run's own interval is wide."""
    theirs = {f"p{n}": n < 100 for n in range(200)}
    ours = {f"p{n}": n < 120 for n in range(200)}
    found = difference(ours, theirs)
    assert found.interval[0] > 0.05
    assert found.p_value == pytest.approx(2 / 2**20)
    assert (found.pairs, found.only_ours, found.only_theirs) == (200, 20, 0)


def test_only_problems_of_both_count() -> None:
    found = difference({"a": True, "b": True}, {"b": False, "c": False})
    assert (found.pairs, found.interval[1]) == (1, 1.0)
    with pytest.raises(ValueError, match="no problem in common"):
        difference({"a": True}, {"b": True})


def test_clusters_are_resampled_whole_and_widen_the_interval() -> None:
    ours = {f"p{n}": (n // 20) % 2 == 0 for n in range(200)}
    theirs = dict.fromkeys(ours, False)
    alone = difference(ours, theirs).interval
    clustered = difference(ours, theirs, {name: int(name[1:]) // 20 for name in ours}).interval
    assert clustered[1] == alone[1] == 0.5
    assert clustered[2] - clustered[0] > 2 * (alone[2] - alone[0])


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(3)
    covered = 0
    for trial in range(150):
        low, _, high = bootstrap([[float(chance.random() < 0.3)] for _ in range(80)], resamples=100, seed=trial)
        covered += low <= 0.3 <= high
    assert 132 <= covered <= 150


@pytest.mark.parametrize(("ours", "theirs"), [(0.99, 0.99), (0.99, 0.93), (0.5, 0.4), (1.0, 1.0)])
@pytest.mark.parametrize("n", [24, 100])
def test_the_interval_of_a_difference_covers_the_truth_also_where_nearly_all_are_right(
    ours: float, theirs: float, n: int
) -> None:
    chance, covered, trials = random.Random(8), 0, 200
    for trial in range(trials):
        gains = [[float(chance.random() < ours) - (chance.random() < theirs)] for _ in range(n)]
        low, _, high = difference_of_shares(gains, resamples=200, seed=trial)
        covered += low <= ours - theirs <= high
    assert covered / trials >= 0.92


def test_equal_scores_of_24_problems_are_no_proof_of_equality() -> None:
    same = {f"p{n}": True for n in range(24)}
    low, value, high = difference(same, same).interval
    assert -0.2 < low < -0.05 and value == 0 and 0.05 < high < 0.2
    samples = [[0.0] * 8] * 24  # eight samples of a problem are one problem
    assert difference_of_shares(samples) == difference(same, same).interval
    assert difference_of_shares([[0.0]]).high > 0.3


def test_a_mean_without_values_is_an_error() -> None:
    nothings: list[list[list[float]]] = [[], [[]]]
    for nothing in nothings:
        with pytest.raises(ValueError, match="at least one value"):
            bootstrap(nothing)


@given(st.lists(st.integers(0, 6), min_size=1), st.integers(1, 6))
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(right: list[int], k: int) -> None:
    expected = sum(1 - comb(6 - r, k) / comb(6, k) for r in right) / len(right)
    assert pass_at_k(right, 6, k) == pytest.approx(expected)
    assert pass_at_k([6] * len(right), 6, k) == 1
    assert pass_at_k(right, 6, 1) == pytest.approx(sum(right) / 6 / len(right))


def test_pass_at_k_of_nothing_is_an_error() -> None:
    for right, samples, k in (([], 1, 1), ([1], 1, 2), ([1], 1, 0)):
        with pytest.raises(ValueError, match="pass@k"):
            pass_at_k(right, samples, k)


def test_how_many_problems_show_a_gap() -> None:
    assert problems_needed(0.05, 0.5) == 1570  # two unpaired shares of about a half: the textbook's number
    assert problems_needed(0.05, 0.5, agreement=0.75) == 393
    assert problems_needed(0.10, 0.5) < problems_needed(0.05, 0.5) / 3.9
    for gap, agreement in ((0, 0), (1, 0), (0.1, 1)):
        with pytest.raises(ValueError, match="give a gap"):
            problems_needed(gap, 0.5, agreement)


def test_so_many_problems_do_show_it() -> None:
    n, chance, seen = problems_needed(0.2, 0.5), random.Random(5), 0
    for trial in range(60):
        ours = {str(k): chance.random() < 0.6 for k in range(n)}
        theirs = {str(k): chance.random() < 0.4 for k in range(n)}
        seen += difference(ours, theirs, resamples=100, seed=trial).interval[0] > 0
    assert 0.65 < seen / 60 <= 0.95
