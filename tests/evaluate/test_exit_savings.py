"""Savings read off a sweep equal those of a driver with that exit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from z1 import profiles
from z1.benchmarks import get_benchmark
from z1.engines import AnswerExit, DriverOptions, Sampling, run_flow
from z1.engines.scripted import Script, ScriptedEngine
from z1.errors import UserError
from z1.evaluate import Sweep, evaluate, read_attempts
from z1.evaluate.exit_bounds import PolicyBound, RiskLimit, policy_bound
from z1.evaluate.exit_savings import ExitSavings, exit_savings, grid_step, probed_thoughts, swept_thoughts
from z1.exit_policy import ExitMinimums
from z1.grading.equivalence import canonical_answer
from z1.prompts import prompt_token_ids
from z1.records import Attempt, Problem
from z1.think import Flow, Shift

HINT = profiles.HINT + profiles.get_profile("z1-tiny").answer_prefix


class Wavering(Script):
    """A model that, asked early, says the last digit of its thought so far."""

    def __call__(self, context: Sequence[int]) -> int:
        thought, hinted, answer = "".join(map(chr, context)).partition(HINT)
        if not hinted:
            return Script.__call__(self, context)
        digits = [character for character in thought if character.isdigit()] or ["0"]
        return ord(f"{digits[-1]}}}."[len(answer)]) if len(answer) < 3 else 3


THOUGHTS = {"a?": "1 1 2" + " 2" * 12, "b?": "3 3 3 3" + " 4" * 14, "c?": "1 2 3 4 5 6 7 8 9 1 2 3"}
RIGHT = {"a?": "2", "b?": "4", "c?": "3"}
PROBLEMS = [Problem(q, q, answer, "test") for q, answer in RIGHT.items()]
SCRIPT = Wavering(
    {q: f"{thought}\n\nThe final answer is \\boxed{{{RIGHT[q]}}}." for q, thought in THOUGHTS.items()}, {}, ""
)
ENGINE = ScriptedEngine(SCRIPT, profile="z1-tiny")


def early_exit_savings(attempts: Sequence[Attempt], stable: int) -> ExitSavings:
    return exit_savings(*swept_thoughts(attempts), stable)


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> list[Attempt]:
    folder: Path = tmp_path_factory.mktemp("sweep")
    setting = Sweep(ENGINE, get_benchmark("programs"), tuple(range(0, 80, 2)), 40)
    asyncio.run(evaluate(setting, PROBLEMS, folder, 3, lambda _: None))
    return list(read_attempts(folder).values())


async def replied(question: str, stable: int) -> Flow:
    profile = profiles.get_profile(ENGINE.profile)
    prompt = prompt_token_ids(ENGINE.tokenizer, profile, question)
    session = await ENGINE.open(prompt, Sampling(profiles.stop_token_ids(ENGINE.tokenizer, profile)))
    detector = profiles.make_detector(ENGINE.tokenizer, profile)
    flow = Flow(profiles.make_window(ENGINE.tokenizer, profile, None, 40), session.free_tokens, detects_answer=True)
    leave = AnswerExit(2, ExitMinimums(stable), 40, partial(profiles.decode, ENGINE.tokenizer), canonical_answer)
    return await run_flow(flow, session, DriverOptions(detector, exit_rules=(leave,)))


@pytest.mark.parametrize("stable", [1, 2, 3, 4, 9])
def test_the_same_as_driving(attempts: list[Attempt], stable: int) -> None:
    found = early_exit_savings(attempts, stable)
    flows = [asyncio.run(replied(question, stable)) for question in RIGHT]
    ledgers = [flow.ledger() for flow in flows]
    assert found.thinking_tokens[1] == pytest.approx(sum(ledger.thought for ledger in ledgers) / 3)
    assert found.probes[1] == pytest.approx(sum(ledger.probe for ledger in ledgers) / 3)
    assert found.exited == sum(flow.shift_reason is Shift.CONVERGED for flow in flows) / 3


def test_what_is_lost_and_saved(attempts: list[Attempt]) -> None:
    hasty, patient = (early_exit_savings(attempts, stable) for stable in (2, 5))
    assert hasty.accuracy_lost[1] == pytest.approx(2 / 3) and patient.accuracy_lost[1] == 0.0
    assert hasty.thinking_tokens_saved[1] > patient.thinking_tokens_saved[1] > 0
    assert patient.paid_tokens_saved[1] < patient.thinking_tokens_saved[1]
    never: ExitSavings = early_exit_savings(attempts, 99)
    assert (never.exited, never.thinking_tokens_saved[1], never.paid_tokens_saved[1]) == (0, 0, -never.probes[1])


def test_samples_of_a_problem_are_a_cluster_and_none_is_overwritten(attempts: list[Attempt]) -> None:
    """Four times the same draws are no more evidence than one; other draws of a problem count too."""
    once = early_exit_savings(attempts, 2)
    fourfold = early_exit_savings([replace(a, sample=k) for k in range(4) for a in attempts], 2)
    assert fourfold == once
    other = [replace(a, sample=1, verdict="right" if a.thinking_budget is not None else "wrong") for a in attempts]
    both = early_exit_savings([*attempts, *other], 2)
    assert early_exit_savings([*other, *attempts], 2) == both
    gained = early_exit_savings(other, 2)
    mean_lost = (once.accuracy_lost.value + gained.accuracy_lost.value) / 2
    assert both.accuracy_lost.value == pytest.approx(mean_lost) != once.accuracy_lost.value
    assert both.problems == once.problems == 3


def test_nothing_lost_on_a_few_problems_is_no_proof(attempts: list[Attempt]) -> None:
    low, value, high = early_exit_savings(attempts, 5).accuracy_lost
    assert low < value == 0 < high


def test_a_sweep_without_a_grid_is_refused(attempts: list[Attempt]) -> None:
    assert grid_step([None, 0, 16, 32, 64]) == 16 and grid_step([None, 0, 16, 64]) is None and grid_step([]) is None
    with pytest.raises(UserError, match="thinking budgets to probe at"):
        early_exit_savings([a for a in attempts if a.thinking_budget in (None, 0, 6, 20)], 2)
    with pytest.raises(UserError, match="no attempts"):
        early_exit_savings([], 2)


def repeated(attempts: list[Attempt], times: dict[str, int]) -> list[Attempt]:
    """Each problem so many times, under other names."""
    return [replace(a, problem=f"{a.problem}{n}") for a in attempts for n in range(times[a.problem])]


def bound(attempts: list[Attempt], risk: str, max_risk: float) -> PolicyBound:
    return policy_bound(
        "agreement", probed_thoughts(swept_thoughts(attempts)[1], risk), RiskLimit(risk, max_risk, 0.95)
    )


def test_a_bound_is_kept_by_the_earliest_exit_that_is_shown(attempts: list[Attempt]) -> None:
    """After two equal answers b and c lose the right answer, after five none does."""
    many = repeated(attempts, {"a?": 100, "b?": 4, "c?": 0})
    found = bound(many, "lost_right", 0.05)
    assert found.minimums is not None and found.minimums.agreeing is not None and 2 < found.minimums.agreeing <= 5
    assert (found.measured.value, found.problems, found.set_aside) == (0.0, 104, 0)
    assert found.thinking_ratio < found.paid_ratio
    generous = bound(many, "lost_right", 0.2)
    assert generous.minimums is not None and generous.minimums.agreeing is not None
    assert generous.minimums.agreeing < found.minimums.agreeing
    assert generous.thinking_ratio < found.thinking_ratio < 1
    savings = early_exit_savings(many, generous.minimums.agreeing)
    assert generous.measured.value == savings.accuracy_lost.value
    whole = savings.thinking_tokens[1] + savings.thinking_tokens_saved[1]
    assert generous.thinking_ratio == pytest.approx(savings.thinking_tokens[1] / whole)
    assert generous.paid_ratio == pytest.approx((savings.thinking_tokens[1] + savings.probes[1]) / whole)


def test_a_changed_answer_is_a_loss_though_neither_is_right(attempts: list[Attempt]) -> None:
    wrong = [replace(a, verdict="wrong") for a in repeated(attempts, {"a?": 50, "b?": 50, "c?": 0})]
    by_right, by_answer = (bound(wrong, risk, 0.05).minimums for risk in ("lost_right", "changed_answer"))
    assert by_right is not None and by_answer is not None
    assert (by_right.agreeing or 0) < (by_answer.agreeing or 0)


def test_what_too_few_problems_could_show_is_refused_with_the_number_needed(attempts: list[Attempt]) -> None:
    with pytest.raises(UserError, match="problems to calibrate on: got 3; give 59 or more"):
        bound(attempts, "lost_right", 0.05)


def test_problems_of_one_cluster_count_as_one(attempts: list[Attempt]) -> None:
    many = repeated(attempts, {"a?": 100, "b?": 50, "c?": 0})
    clusters = {one.problem: one.problem if one.problem[0] == "a" else "one user" for one in many}
    probed = probed_thoughts(swept_thoughts(many)[1], "lost_right", clusters)
    found = policy_bound("agreement", probed, RiskLimit("lost_right", 0.05, 0.95))
    alone = bound(many, "lost_right", 0.05).minimums
    assert found.problems == 101 and found.minimums is not None and alone is not None
    assert (found.minimums.agreeing or 0) < (alone.agreeing or 0)


def test_a_forced_answer_has_a_confidence(attempts: list[Attempt]) -> None:
    """A script is certain; the free reply was not forced."""
    for one in attempts:
        is_forced = one.thinking_budget is not None and one.shift == Shift.BUDGET
        assert (one.answer_confidence is not None) == is_forced
        assert one.answer_confidence is None or one.answer_confidence["probability"] == 1
