"""Is the cost of a sweep bounded before it starts, and is what cannot hold refused by name?"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from z1.benchmarks import get_benchmark
from z1.engines.protocol import Capabilities
from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import UserError
from z1.evaluate.cost import check, estimate_cost, plan
from z1.evaluate.sweep import Sweep, sweep
from z1.records import Problem

REPLY = "a = 3\nb = 4\n\nThe final answer is \\boxed{4}."


def engine() -> ScriptedEngine:
    return ScriptedEngine(Script({"what?": REPLY}, {"what?": "9}."}, "The final answer is \\boxed{"), max_model_len=200)


def setting(windows: tuple[int, ...] = (0, 5, 12, 60)) -> Sweep:
    return Sweep(engine(), get_benchmark("programs"), windows, 40)


@pytest.mark.parametrize("windows", [(), (0,), (0, 5, 12, 60), (5, 5)])
def test_no_sweep_costs_more_than_was_said(windows: tuple[int, ...]) -> None:
    chosen = setting(windows)
    rows = asyncio.run(sweep(chosen, Problem("p", "what?", "4", "test")))
    said = plan(chosen, 1, 200 - len("what?"))
    assert said.thinking_budgets == len(rows)
    assert sum(row.ledger["hint"] or 0 for row in rows) <= said.forced
    assert sum(row.ledger["answer"] or 0 for row in rows) <= said.answers
    assert max(row.ledger["thought"] or 0 for row in rows) <= said.thought


def test_thought_does_not_grow_with_windows() -> None:
    few, many = (plan(setting(windows), 10, 195) for windows in ((5,), tuple(range(40))))
    assert few.thought == many.thought
    assert few.answers < many.answers


def test_a_plan_is_one_line() -> None:
    said = str(plan(setting(), 500, 195))
    assert said.startswith("500 problems under 5 windows: at most ")
    assert "\n" not in said


WHOLE = Capabilities(reuses_kv_cache=True, can_fork=True, is_deterministic=True)


def able(capabilities: Capabilities) -> Sweep:
    made = engine()
    made.capabilities = capabilities
    return replace(setting(), engine=made)


def test_what_cannot_hold_is_refused_by_name() -> None:
    whole = able(WHOLE)
    check(whole)
    with pytest.raises(UserError, match="a sweep with a least thinking: got 5 ids"):
        check(whole, minimum=5)
    with pytest.raises(UserError, match=r"a sweep with a deadline: got 2\.0 s"):
        check(whole, deadline=2.0)
    stiff = able(replace(WHOLE, can_fork=False))
    with pytest.raises(UserError, match="scripted, which cannot fork; let each window think for itself"):
        check(stiff)
    check(replace(stiff, separate_runs=True), minimum=5, deadline=2.0)


def test_windows_apart_pay_a_thought_each_and_no_more_than_was_said() -> None:
    chosen = replace(setting(), separate_runs=True)
    rows = asyncio.run(sweep(chosen, Problem("p", "what?", "4", "test")))
    said = plan(chosen, 1, 195)
    assert sum(row.ledger["thought"] or 0 for row in rows) <= said.thought == 155 + 0 + 5 + 12 + 60


def test_samples_multiply_the_cost_and_are_said() -> None:
    one, five = (plan(replace(setting(), samples=n), 7, 195) for n in (1, 5))
    assert (five.thought, five.forced, five.answers) == (5 * one.thought, 5 * one.forced, 5 * one.answers)
    assert "under 5 windows, 5 times each: at most" in str(five)
    assert five.visible == one.visible


def test_foreseen_with_the_room_of_the_first_problem() -> None:
    problems = [Problem("p", "what?", "4", "test")] * 3
    assert asyncio.run(estimate_cost(setting(), problems)) == plan(setting(), 3, 195)


def test_a_window_that_the_context_cannot_hold_is_refused() -> None:
    problems = [Problem("p", "what?", "4", "test")]
    with pytest.raises(UserError, match=r"the longest window: got 190 ids, where \d+ fit; give a larger context"):
        asyncio.run(estimate_cost(setting((5, 190)), problems))
