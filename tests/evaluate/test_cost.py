"""The cost of a sweep is bounded before it starts, and impossible settings are refused by name."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from z1.benchmarks import get_benchmark
from z1.engines.protocol import Capabilities
from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import UserError
from z1.evaluate.cost import check_sweep, cost_bound, estimate_cost
from z1.evaluate.sweep import Sweep, sweep_problem
from z1.generation import Steering
from z1.records import Problem

REPLY = "a = 3\nb = 4\n\nThe final answer is \\boxed{4}."


def engine() -> ScriptedEngine:
    return ScriptedEngine(Script({"what?": REPLY}, {"what?": "9}."}, "The final answer is \\boxed{"), max_model_len=200)


def setting(windows: tuple[int, ...] = (0, 5, 12, 60)) -> Sweep:
    return Sweep(engine(), get_benchmark("programs"), windows, 40)


@pytest.mark.parametrize("windows", [(), (0,), (0, 5, 12, 60), (5, 5)])
def test_no_sweep_costs_more_than_estimated(windows: tuple[int, ...]) -> None:
    chosen = setting(windows)
    rows = asyncio.run(sweep_problem(chosen, Problem("p", "what?", "4", "test")))
    text = cost_bound(chosen, 1, 200 - len("what?"))
    assert text.thinking_budgets == len(rows)
    assert sum(row.ledger["hint"] or 0 for row in rows) <= text.forced_tokens
    assert sum(row.ledger["answer"] or 0 for row in rows) <= text.answer_tokens
    assert max(row.ledger["thought"] or 0 for row in rows) <= text.thinking_tokens


def test_thinking_tokens_do_not_grow_with_budgets() -> None:
    few, many = (cost_bound(setting(windows), 10, 195) for windows in ((5,), tuple(range(40))))
    assert few.thinking_tokens == many.thinking_tokens
    assert few.answer_tokens < many.answer_tokens


def test_a_cost_estimate_is_one_line() -> None:
    text = str(cost_bound(setting(), 500, 195))
    assert text.startswith("500 problems at 5 budgets: at most ")
    assert "\n" not in text


WHOLE = Capabilities(reuses_kv_cache=True, can_fork=True, is_deterministic=True)


def able(capabilities: Capabilities) -> Sweep:
    made = engine()
    made.capabilities = capabilities
    return replace(setting(), engine=made)


def test_settings_that_a_shared_thought_cannot_answer_are_refused_by_name() -> None:
    whole = able(WHOLE)
    check_sweep(whole)
    with pytest.raises(UserError, match="a sweep with min_thinking_tokens: got 5 tokens"):
        check_sweep(whole, min_thinking_tokens=5)
    with pytest.raises(UserError, match=r"a sweep with a deadline: got 2\.0 s"):
        check_sweep(whole, deadline=2.0)
    for name, steering in (
        ("max_nudges", Steering(max_nudges=3)),
        ("soft_tokens", Steering(soft_tokens=3)),
        ("grace_tokens", Steering(grace_tokens=3)),
    ):
        steered = replace(whole, steering=steering)
        with pytest.raises(UserError, match=f"a sweep with {name}: got 3; the thought would depend on the budget"):
            check_sweep(steered)
        check_sweep(replace(steered, separate_runs=True))
    stiff = able(replace(WHOLE, can_fork=False))
    with pytest.raises(UserError, match="scripted, which cannot fork; set separate_runs = true"):
        check_sweep(stiff)
    check_sweep(replace(stiff, separate_runs=True), min_thinking_tokens=5, deadline=2.0)


def test_separate_runs_pay_a_thought_for_each_budget_and_no_more_than_estimated() -> None:
    chosen = replace(setting(), separate_runs=True)
    rows = asyncio.run(sweep_problem(chosen, Problem("p", "what?", "4", "test")))
    text = cost_bound(chosen, 1, 195)
    assert sum(row.ledger["thought"] or 0 for row in rows) <= text.thinking_tokens == 155 + 0 + 5 + 12 + 60


def test_samples_multiply_the_cost() -> None:
    one, five = (cost_bound(replace(setting(), samples=n), 7, 195) for n in (1, 5))
    assert (five.thinking_tokens, five.forced_tokens, five.answer_tokens) == (
        5 * one.thinking_tokens,
        5 * one.forced_tokens,
        5 * one.answer_tokens,
    )
    assert "at 5 budgets, 5 samples each: at most" in str(five)
    assert five.smallest_difference == one.smallest_difference


def test_the_estimate_uses_the_free_tokens_of_the_first_problem() -> None:
    problems = [Problem("p", "what?", "4", "test")] * 3
    assert asyncio.run(estimate_cost(setting(), problems)) == cost_bound(setting(), 3, 195)


def test_a_prompt_that_does_not_fit_is_passed_over_and_if_none_fits_the_run_is_refused() -> None:
    good, long = Problem("p", "what?", "4", "test"), Problem("q", "x" * 5000, "4", "test")
    assert asyncio.run(estimate_cost(setting(), [long, good])) == cost_bound(setting(), 2, 195)
    with pytest.raises(UserError, match="prompt: got 5000 tokens"):
        asyncio.run(estimate_cost(setting(), [long, long]))


def test_a_budget_that_the_context_cannot_hold_is_refused() -> None:
    problems = [Problem("p", "what?", "4", "test")]
    with pytest.raises(
        UserError, match=r"the largest thinking budget: got 190 tokens, but \d+ fit; set a larger max_model_len"
    ):
        asyncio.run(estimate_cost(setting((5, 190)), problems))
