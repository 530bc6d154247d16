"""Two runs are compared in pairs, budget by budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from z1.errors import Fault
from z1.evaluate import compare
from z1.records import Attempt

LEDGER = {"close": 0, "hint": 0, "answer": 0, "stop": 0, "probe": 0, "phase_one": 0}


def run(right: dict[int | None, int], thought: dict[int | None, int], problems: int = 100) -> list[Attempt]:
    """Under each window the first so many problems are right, each after so many ids of thought."""
    return [
        Attempt(
            f"p{n}",
            window,
            0,
            [],
            [],
            [],
            [],
            {**LEDGER, "thought": thought[window] + n % 3},
            "stop",
            "natural",
            "right" if n < count else "wrong",
            "",
            "",
        )
        for window, count in right.items()
        for n in range(problems)
    ]


THEIRS = run({8: 20, 16: 40, None: 60}, {8: 7, 16: 15, None: 63})
OURS = run({4: 10, 8: 40, None: 60}, {4: 3, 8: 7, None: 31})


def test_common_budgets_are_compared_in_pairs() -> None:
    found = compare(OURS, THEIRS)
    assert found["problems"] == 100
    assert [row["thinking_budget"] for row in found["thinking_budgets"]] == [8, None]
    eight, free = found["thinking_budgets"]
    assert (eight["ours"], eight["theirs"], eight["only_ours"], eight["only_theirs"]) == (0.4, 0.2, 20, 0)
    assert eight["difference"][1] == pytest.approx(0.2)
    assert eight["difference"][0] > 0.1
    assert eight["p_value"] == pytest.approx(2 / 2**20)
    assert eight["thinking_ratio"][1] == 1
    assert (free["difference"].value, free["p_value"], free["problems_needed"]) == (0, 1, None)
    assert -0.05 < free["difference"].low < 0 < free["difference"].high < 0.05
    assert free["thinking_ratio"][1] == pytest.approx(32 / 64, abs=0.001)


def test_a_clear_difference_needs_fewer_problems() -> None:
    assert 20 < compare(OURS, THEIRS)["thinking_budgets"][0]["problems_needed"] < 100


def test_thinking_ratio_at_matched_accuracy() -> None:
    matched = compare(OURS, THEIRS)["at_matched_accuracy"]
    assert matched["accuracy"] == 0.6
    assert matched["ratio"][1] == pytest.approx(32 / 64, abs=0.01)
    assert 0.9 < matched["share_of_resamples_with_a_ratio"] <= 1


def test_a_curve_that_begins_above_says_why_there_is_no_ratio() -> None:
    high = run({8: 90, None: 95}, {8: 7, None: 31})
    matched = compare(high, THEIRS)["at_matched_accuracy"]
    assert matched["ratio"] is None
    assert "begins above" in matched["why"]


def test_samples_count_as_one_problem_and_a_missing_one_leaves_it_out() -> None:
    often = [replace(one, sample=n) for one in OURS for n in range(3)]
    assert compare(often, THEIRS)["thinking_budgets"] == compare(OURS, THEIRS)["thinking_budgets"]
    holed = [replace(one, verdict="missing") if (one.problem, one.sample) == ("p0", 1) else one for one in often]
    assert compare(holed, THEIRS)["problems"] == 99


def test_nothing_in_common_is_a_fault() -> None:
    others = [replace(one, problem="q" + one.problem) for one in THEIRS]
    with pytest.raises(Fault, match="no problem in common"):
        compare(OURS, others)
    with pytest.raises(Fault, match="no thinking budget in common"):
        compare([one for one in OURS if one.thinking_budget == 4], THEIRS)


def test_a_model_that_thinks_nothing_has_no_ratio() -> None:
    still = [replace(one, ledger={**LEDGER, "thought": 0}) for one in THEIRS]
    assert {row["thinking_budget"]: row["thinking_ratio"] for row in compare(OURS, still)["thinking_budgets"]} == {
        8: None,
        None: None,
    }
