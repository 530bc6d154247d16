"""The numbers of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from z1.errors import Fault
from z1.evaluate import curve
from z1.records import Attempt, Problem

PROBLEMS = [Problem(f"p{i}", "q", "a", "test", "", 1 + i // 2) for i in range(4)]
NAMES = {"run": "r", "model": "m", "benchmark": "b"}


def attempt(problem: int, window: int | None, verdict: str, thought: int = 10, **more: str) -> Attempt:
    counts = {"thought": thought, "close": 0, "hint": 3, "answer": 2, "stop": 1, "probe": 4, "phase_one": thought}
    ledger: dict[str, int | None] = {**counts}
    end, shift = more.get("end", "stop"), more.get("shift", "natural")
    return Attempt(f"p{problem}", window, 0, [], [], [], [], ledger, end, shift, verdict, "", "")


ATTEMPTS = [
    attempt(0, 8, "right", 8, shift="budget"),
    attempt(1, 8, "wrong", 6),
    attempt(2, 8, "cut", 8, shift="budget", end="cut"),
    attempt(3, 8, "missing", 0, end="aborted", shift=""),
    *(attempt(i, None, "right" if i else "unparsed", 20 + i) for i in range(4)),
]


def test_budgets_ascend_and_unlimited_is_last() -> None:
    assert [p["thinking_budget"] for p in curve(PROBLEMS, ATTEMPTS, NAMES)["points"]] == [8, None]


def test_missing_attempts_are_counted_and_left_out_of_everything_else() -> None:
    point = curve(PROBLEMS, ATTEMPTS, NAMES)["points"][0]
    assert (point["n"], point["missing"]) == (3, 1)
    assert point["accuracy"][1] == pytest.approx(1 / 3)
    assert point["thinking_tokens"][1] == pytest.approx(22 / 3)
    assert point["paid_tokens"][1] == pytest.approx(22 / 3 + 10)


def test_shares_are_of_graded_attempts() -> None:
    capped, free = curve(PROBLEMS, ATTEMPTS, NAMES)["points"]
    assert (capped["shifted"], capped["cut"], capped["unparsed"]) == pytest.approx((2 / 3, 1 / 3, 0))
    assert (free["shifted"], free["unparsed"]) == (0, 0.25)


def test_numbers_by_steps_at_every_budget() -> None:
    rows = {(r["thinking_budget"], r["steps"]): r for r in curve(PROBLEMS, ATTEMPTS, NAMES)["by_steps"]}
    assert set(rows) == {(8, 1), (8, 2), (None, 1), (None, 2)}
    assert rows[8, 1]["accuracy"][1] == 0.5
    assert rows[8, 2]["n"] == 1
    assert rows[None, 2]["thinking_tokens"][1] == 22.5


def test_truncated_accuracy_is_that_of_the_unlimited_reply_cut_off() -> None:
    free = [attempt(i, None, "right" if i else "wrong", 20 + i) for i in range(4)]  # 30 to 33 ids in all
    points = curve(PROBLEMS, [attempt(0, window, "right") for window in (30, 31, 40)] + free, NAMES)["points"]
    assert [point["truncated_accuracy"][1] for point in points[:-1]] == [0, 0.25, 0.75]
    assert "truncated_accuracy" not in points[-1]
    assert "truncated_accuracy" not in curve(PROBLEMS, ATTEMPTS[:3], NAMES)["points"][0]


def test_s1s_metrics_are_those_of_the_points() -> None:
    s1 = curve(PROBLEMS, ATTEMPTS, NAMES)["s1"]
    assert s1["performance"] == 0.75
    assert s1["control"] == 1.0
    assert s1["scaling"] == pytest.approx(100_000 * (0.75 - 1 / 3) / (21.5 - 22 / 3))


def test_attempts_at_other_problems_do_not_count() -> None:
    other = Attempt("zz", 8, 0, [], [], [], [], {}, "stop", "natural", "right", "", "")
    assert curve(PROBLEMS, [*ATTEMPTS, other], NAMES) == curve(PROBLEMS, ATTEMPTS, NAMES)


def test_nothing_but_missing_attempts_is_a_fault_and_not_a_zero() -> None:
    with pytest.raises(Fault, match="missing"):
        curve(PROBLEMS, [attempt(0, 8, "missing")], NAMES)


def test_several_replies_to_a_problem_count_as_one_problem() -> None:
    """Four copies of the same replies add no information, so no interval narrows; pass@k is reported."""
    copies = [replace(one, sample=n) for one in ATTEMPTS for n in range(4)]
    once, often = curve(PROBLEMS, ATTEMPTS, NAMES)["points"], curve(PROBLEMS, copies, NAMES)["points"]
    for few, many in zip(once, often, strict=True):
        assert many["n"] == 4 * few["n"]
        assert many["accuracy"] == pytest.approx(few["accuracy"])
        assert many["thinking_tokens"] == pytest.approx(few["thinking_tokens"])
        assert "pass_at" not in few
        assert many["pass_at"] == pytest.approx(dict.fromkeys(("1", "2", "4"), few["accuracy"][1]))


def test_pass_at_k_counts_problems_with_all_samples_graded() -> None:
    rows = [replace(attempt(0, None, verdict), sample=n) for n, verdict in enumerate(("right", "wrong", "wrong"))]
    lost = [replace(attempt(1, None, verdict), sample=n) for n, verdict in enumerate(("right", "missing", "right"))]
    point = curve(PROBLEMS, [*rows, *lost], NAMES)["points"][0]
    assert point["pass_at"] == pytest.approx({"1": 1 / 3, "2": 2 / 3})
    assert (point["n"], point["missing"]) == (5, 1)
