"""Scores over seeds, paired differences and ratios, and numbers read off curves."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.errors import Fault
from z1.evaluate import scores as scoring
from z1.evaluate.intervals import share
from z1.evaluate.scores import ModelScores
from z1.records import Attempt
from z1.think import Ledger

LAW = settings(max_examples=30, deadline=None, derandomize=True)
LEDGER = {"thought": 0, "close": 0, "hint": 0, "answer": 0, "stop": 0, "probe": 0, "phase_one": 0}


def attempt(problem: str, window: int | None, right: bool, thought: int) -> Attempt:
    ledger: dict[str, int | None] = {**LEDGER, "thought": thought}
    verdict = "right" if right else "wrong"
    return Attempt(problem, window, 0, [], [], [], [], ledger, "stop", "", verdict, "", "")


def scores(share: float, ids: int, problems: int = 400, seed: int = 0) -> ModelScores:
    """A model that is right in `share` of problems when it thinks `ids` ids, and half as often with half of them."""
    rng = Random(seed)
    names = [f"p{number}" for number in range(problems)]
    windows = {None: 1.0, 8: 0.5}
    right = {w: {p: float(rng.random() < share * part) for p in names} for w, part in windows.items()}
    thought = {w: {p: part * (ids + 2 * rng.random() - 1) for p in names} for w, part in windows.items()}
    return ModelScores(right, thought)


def test_the_ledger_here_is_the_real_one() -> None:
    assert Ledger(**LEDGER).thought == 0


def test_several_seeds_count_a_problem_once_with_their_mean() -> None:
    first = [attempt("a", None, True, 10), attempt("b", None, False, 20)]
    second = [attempt("a", None, True, 30), attempt("b", None, True, 20)]
    found = scoring.model_scores([first, second])
    assert found.unlimited() == ({"a": 1.0, "b": 0.5}, {"a": 20.0, "b": 20.0})
    assert found.accuracy()[1] == 0.75


def test_samples_of_a_run_count_as_seeds() -> None:
    once = [attempt("a", None, True, 10), attempt("b", None, False, 20)]
    again = [replace(one, sample=1, verdict="right") for one in once]
    assert scoring.model_scores(scoring.split_samples([*again, *once])) == scoring.model_scores([once, again])


def test_a_curve_has_all_budgets_in_order_and_all_paid_tokens() -> None:
    paid = replace(attempt("a", None, True, 10), ledger={**LEDGER, "thought": 10, "hint": 3, "answer": 4})
    found = scoring.points(scoring.model_scores([[paid, attempt("a", 8, False, 8), attempt("a", 2, False, 2)]]))
    assert [one["thinking_budget"] for one in found] == [2, 8, None]
    assert found[-1] == {
        "thinking_budget": None,
        "accuracy": share(1, 1),  # one right answer is not 100 %
        "thinking_tokens": (10.0,) * 3,
        "paid_tokens": (17.0,) * 3,
    }


def test_truncated_accuracy_counts_right_replies_within_as_many_tokens() -> None:
    seeds = [
        [*(attempt("a", window, False, 1) for window in (9, 10)), attempt("a", None, right, thought)]
        for right, thought in ((True, 10), (True, 30))
    ]
    assert [
        one["truncated_accuracy"][1]
        for one in scoring.points(scoring.model_scores(seeds))
        if "truncated_accuracy" in one
    ] == [
        0.0,
        0.5,
    ]


def test_difficulty_is_counted_by_steps_with_honest_ends() -> None:
    one = scoring.model_scores(
        [[attempt("a", None, True, 10), attempt("b", None, True, 20), attempt("c", None, False, 40)]]
    )
    easy, hard = scoring.by_group(one, {"a": 2, "b": 2, "c": 11}, "steps")
    assert (easy["steps"], easy["n"], easy["thinking_tokens"][1]) == (2, 2, 15.0)
    assert easy["accuracy"][0] < 0.5 < easy["accuracy"][1] == 1.0
    assert (hard["steps"], hard["n"], hard["accuracy"][1]) == (11, 1, 0.0)


def test_a_problem_that_is_missing_somewhere_is_left_out_everywhere() -> None:
    first = [
        attempt("a", None, True, 10),
        attempt("b", None, True, 10),
        attempt("a", 8, True, 8),
        attempt("b", 8, True, 8),
    ]
    second = [*first[:3], replace(first[3], verdict="missing")]
    assert set(scoring.model_scores([first, second]).unlimited()[0]) == {"a"}
    with pytest.raises(Fault):
        scoring.model_scores([[replace(first[0], verdict="missing")]])


def test_a_model_does_not_differ_from_itself() -> None:
    one = scores(0.8, 40)
    low, value, high = scoring.difference(one, one)
    assert -0.02 < low < value == 0.0 < high < 0.02
    assert scoring.ratio(one.unlimited()[1], one.unlimited()[1]) == pytest.approx([1.0, 1.0, 1.0])
    assert scoring.at_matched_accuracy(one, one)[1] == pytest.approx(1.0)


@given(st.integers(5, 50), st.integers(60, 200))
@LAW
def test_a_ratio_of_means_lies_in_its_interval(ours: int, theirs: int) -> None:
    low, value, high = scoring.ratio(scores(0.9, ours).unlimited()[1], scores(0.9, theirs, seed=1).unlimited()[1])
    assert low <= value <= high
    assert value == pytest.approx(ours / theirs, abs=0.03)


def test_the_interval_of_a_ratio_covers_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        rng = Random(seed)
        names = [str(number) for number in range(120)]
        theirs = {name: 10 + 90 * rng.random() for name in names}
        ours = {name: theirs[name] * 0.3 + 10 * rng.random() for name in names}
        low, _, high = scoring.ratio(ours, theirs)
        covered += low <= (0.3 * 55 + 5) / 55 <= high
    assert 180 <= covered <= 198


def test_a_ratio_to_no_thought_is_no_number() -> None:
    with pytest.raises(Fault, match="does not think"):
        scoring.ratio({"a": 1.0}, {"a": 0.0})


@pytest.mark.parametrize(("accuracy", "ids"), [(0.1, 10.0), (0.3, 15.0), (0.4, 20.0), (0.6, 40.0)])
def test_a_curve_is_interpolated_at_the_fewest_tokens(accuracy: float, ids: float) -> None:
    curve = [(10.0, 0.2), (20.0, 0.4), (30.0, 0.4), (40.0, 0.6)]
    assert scoring.tokens_at(curve, accuracy) == pytest.approx(ids)


def test_an_accuracy_that_is_never_reached_is_a_fault() -> None:
    with pytest.raises(Fault, match="never reaches"):
        scoring.tokens_at([(10.0, 0.2)], 0.3)


def test_the_papers_own_curves_would_be_read_as_the_paper_reads_them() -> None:
    """A reply at 35.3 with 298 ids against a line from (0, 0) to (1000, 35.3)."""
    names = [str(number) for number in range(1000)]
    even = {name: float(number < 353) for number, name in enumerate(names)}
    none = dict.fromkeys(names, 0.0)
    ours = ModelScores({None: even}, {None: dict.fromkeys(names, 298.0)})
    theirs = ModelScores({0: none, None: even}, {0: none, None: dict.fromkeys(names, 1000.0)})
    assert scoring.at_matched_accuracy(ours, theirs)[1] == pytest.approx(0.298)
