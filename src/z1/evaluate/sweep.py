"""Answers one problem at every thinking budget from a single thought.

Under greedy decoding a thought does not depend on the budget until the budget ends it. So the model thinks once without
a limit; at each budget the session is forked and the fork is shifted to its answer. Budgets that are larger than the
thought, or reached after the answer has begun, share the unlimited reply. The rows equal those of one run per budget (a
test checks it).

A sampled reply is forked in the same way: the part before a budget is the beginning of one sample, so each row has the
distribution of a run of its own, and the rows of a sample are paired. An engine with keyed sampling gives the same
tokens as well. With `separate_runs` every budget has its own thought, for engines that cannot fork.

No reply ends a run: where the engine, the prompt or the grader fails, the attempt is *missing*, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

from z1 import profiles
from z1.benchmarks import Benchmark, get_benchmark
from z1.engines import (
    DriverOptions,
    Engine,
    ExitRule,
    Sampling,
    Session,
    forced_confidence,
    run_flow,
    scored_sampling,
    update_flow,
)
from z1.errors import EngineFault, UserError
from z1.exit_policy import AnswerConfidence
from z1.families import without_closing
from z1.generation import Steering, steered
from z1.grading import Verdict
from z1.grading.verdict import grade_or_missing
from z1.prompts import prompt_token_ids
from z1.recipe import EvaluateSettings
from z1.records import Attempt, Problem
from z1.surrogates import encode_for_hash
from z1.think import AnswerDetector, Bucket, End, Flow, Ledger, Sample, Shift, Window

GREEDY = Sampling()
NOT_STEERED = Steering()


@dataclass(frozen=True, slots=True)
class Sweep:
    """The settings of a sweep over `thinking_budgets` and unlimited thinking.

    Each problem gets `samples` replies; the stop tokens and the sample number of `sampling` are set for each of them.
    With `separate_runs` every budget has its own thought.
    """

    engine: Engine
    benchmark: Benchmark
    thinking_budgets: tuple[int, ...]
    max_answer_tokens: int
    tokenizer_hash: str = ""
    samples: int = 1
    sampling: Sampling = GREEDY
    separate_runs: bool = False
    unlimited: bool = True
    stop: tuple[str, ...] = ()
    steering: Steering = NOT_STEERED
    """Nudges and a soft landing need `separate_runs`."""
    exit_rules: Callable[[Sampling], tuple[ExitRule, ...]] = lambda _: ()
    """Makes the early-exit rules of a reply with this sampling; they need `separate_runs`."""

    @property
    def budgets(self) -> tuple[int | None, ...]:
        """The budgets in ascending order, unlimited (None) last."""
        return (*sorted(set(self.thinking_budgets)), *((None,) if self.unlimited else ()))


def make_sweep(settings: EvaluateSettings, seed: int, engine: Engine, tokenizer_hash: str = "") -> Sweep:
    """The sweep that `[evaluate]` of a recipe describes, on `engine`; `seed` draws its samples."""
    sampling = settings.sampling.model_dump() if settings.sampling else {"samples": 1}
    samples = sampling.pop("samples")
    return Sweep(
        engine,
        get_benchmark(settings.benchmark).with_prompt(settings.prompt, settings.system),
        settings.thinking_budgets,
        settings.max_answer_tokens,
        tokenizer_hash,
        samples,
        Sampling(seed=seed, **sampling),
        bool(settings.separate_runs),
        steering=Steering(bool(settings.repetition), 0, settings.soft_tokens or 0, settings.grace_tokens or 0),
    )


async def sweep_problem(sweep: Sweep, problem: Problem, sample: int = 0) -> list[Attempt]:
    """One attempt per budget, with the sample number `sample`; all of them missing if the engine fails or the prompt
    does not fit.
    """
    profile = profiles.get_profile(sweep.engine.profile)
    stops = profiles.stop_token_ids(sweep.engine.tokenizer, profile)
    sampling = replace(sweep.sampling, stop_token_ids=stops, sample=_sample_key(problem, sample))
    run = _separate_thoughts if sweep.separate_runs else _shared_thought
    prompt: list[int] = []
    try:
        prompt = prompt_token_ids(sweep.engine.tokenizer, profile, sweep.benchmark.messages(problem))
        flows = await run(sweep, prompt, sampling)
    except (EngineFault, UserError) as fault:
        return [_missing(sweep, problem, sample, budget, prompt, str(fault)) for budget in sweep.budgets]
    attempts = [_ungraded(sweep, (problem, sample, budget), prompt, *reply) for budget, reply in flows.items()]
    return [await grade_attempt(sweep, problem, attempt) for attempt in attempts]


def _sample_key(problem: Problem, sample: int) -> int:
    """The sample number for the engine, different for each problem, so that problems have independent samples."""
    return int.from_bytes(blake2b(encode_for_hash(f"{problem.id}:{sample}"), digest_size=8).digest()) >> 33


def make_window(sweep: Sweep, budget: int | None) -> Window:
    """The window at one thinking budget. Raises UserError if the engine has no soft landing of this kind."""
    profile, kind = profiles.get_profile(sweep.engine.profile), sweep.benchmark.answer_kind
    window = profiles.make_window(sweep.engine.tokenizer, profile, budget, sweep.max_answer_tokens, kind)
    return steered(window, sweep.engine, sweep.steering)


def _make_flow(sweep: Sweep, budget: int | None, free_tokens: int, *, detects_answer: bool) -> Flow:
    tokenizer, profile = sweep.engine.tokenizer, profiles.get_profile(sweep.engine.profile)
    part = partial(profiles.answer_part, profile, kind=sweep.benchmark.answer_kind)
    strings = profiles.make_stop_strings(tokenizer, sweep.stop, part)
    return Flow(make_window(sweep, budget), free_tokens, detects_answer=detects_answer, stop_strings=strings)


_Replies = dict[int | None, tuple[Flow, AnswerConfidence | None]]
"""The reply at each budget, and how sure its answer is if it was forced on a fork."""


async def _separate_thoughts(sweep: Sweep, prompt: list[int], sampling: Sampling) -> _Replies:
    tokenizer, profile = sweep.engine.tokenizer, profiles.get_profile(sweep.engine.profile)
    replies: _Replies = {}
    for budget in sweep.budgets:
        detector = profiles.make_detector(tokenizer, profile)  # stateful: one for each reply
        session = await sweep.engine.open(prompt, sampling)
        try:
            flow = _make_flow(sweep, budget, session.free_tokens, detects_answer=detector is not None)
            options = DriverOptions(detector, exit_rules=sweep.exit_rules(sampling))
            replies[budget] = await run_flow(flow, session, options), None
        finally:
            await session.close()
    return replies


async def _shared_thought(sweep: Sweep, prompt: list[int], sampling: Sampling) -> _Replies:
    tokenizer, profile = sweep.engine.tokenizer, profiles.get_profile(sweep.engine.profile)
    detector = profiles.make_detector(tokenizer, profile)
    session = await sweep.engine.open(prompt, sampling)
    free_tokens = session.free_tokens
    replies: _Replies = {}
    try:
        free = _make_flow(sweep, None, free_tokens, detects_answer=detector is not None)
        for budget in (w for w in sweep.budgets if w is not None):
            await _advance(free, session, detector, budget)
            if free.end is not None or free.is_answering or len(free.token_ids) < budget:
                replies[budget] = free, None
                continue
            flow = _make_flow(sweep, budget, free_tokens, detects_answer=False)
            for token in free.token_ids:
                flow.add_tokens((token,))
            replies[budget] = await _forced_answer(sweep, flow, session, sampling)
        if sweep.unlimited:
            replies[None] = free, None
        if (free, None) in replies.values():  # the thought ended within a budget: its answer is still to be sampled
            await run_flow(free, session, DriverOptions(detector))
    finally:
        await session.close()
    return replies


async def _forced_answer(
    sweep: Sweep, flow: Flow, session: Session, sampling: Sampling
) -> tuple[Flow, AnswerConfidence | None]:
    """The reply with the thought so far, its answer forced on a fork of `session`."""
    start = len(flow.token_ids)
    fork = await session.fork(scored_sampling(sampling, sweep.engine.capabilities))
    try:
        await run_flow(flow, fork)
    finally:
        await fork.close()
    decode = partial(profiles.decode, sweep.engine.tokenizer)
    return flow, forced_confidence(flow.token_ids[start:], flow.ledger().hint, fork.logprobs, decode)


async def _advance(flow: Flow, session: Session, detector: AnswerDetector | None, until: int) -> None:
    """Sample until the reply has `until` tokens, its answer has begun, or it has ended."""
    while len(flow.token_ids) < until and not flow.is_answering:
        step = flow.next_step()
        if not isinstance(step, Sample):
            return
        sampled = await session.sample(min(step.max_tokens, until - len(flow.token_ids)))
        update_flow(flow, sampled.token_ids, detector)


def _ungraded(
    sweep: Sweep,
    names: tuple[Problem, int, int | None],
    prompt: list[int],
    flow: Flow,
    confidence: AnswerConfidence | None,
) -> Attempt:
    (problem, sample, budget), spans = names, flow.spans()
    return Attempt(
        problem.id,
        budget,
        sample,
        prompt,
        flow.token_ids,
        [[span.bucket.value, span.start, span.end] for span in spans],
        [profiles.decode(sweep.engine.tokenizer, flow.token_ids[span.start : span.end]) for span in spans],
        flow.ledger().as_json(),
        (flow.end or End.ABORTED).value,
        (flow.shift_reason or Shift.NATURAL).value,
        Verdict.UNGRADED.value,
        "",
        sweep.tokenizer_hash,
        None if confidence is None else confidence._asdict(),
    )


def _missing(sweep: Sweep, problem: Problem, sample: int, budget: int | None, prompt: list[int], fault: str) -> Attempt:
    ledger, end = Ledger().as_json(), End.ABORTED.value
    verdict, tokenizer = Verdict.MISSING.value, sweep.tokenizer_hash
    return Attempt(problem.id, budget, sample, prompt, [], [], [], ledger, end, "", verdict, fault, tokenizer)


async def grade_attempt(sweep: Sweep, problem: Problem, attempt: Attempt) -> Attempt:
    """`attempt` with the verdict on its reply: MISSING if the grader fails."""
    text = profiles.decode(sweep.engine.tokenizer, _graded_token_ids(attempt))
    text = without_closing(text) if attempt.ledger["hint"] else text
    grade = partial(sweep.benchmark.grade, text, problem, attempt.end != End.STOP)
    found = await asyncio.to_thread(grade_or_missing, grade)
    return replace(attempt, verdict=found.verdict.value, fault=found.reason)


def _graded_token_ids(attempt: Attempt) -> list[int]:
    """Hint and answer; all of a reply that has no answer, but for the stop token, which would hide a think tag before
    it.
    """
    spans = [tuple(span) for span in attempt.spans]
    if attempt.ledger["answer"] is None:
        graded = [span for span in spans if span[0] != Bucket.STOP]
    else:
        graded = [span for span in spans if span[0] in (Bucket.HINT, Bucket.ANSWER)]
    return [token for _, start, end in graded for token in attempt.token_ids[start:end]]
