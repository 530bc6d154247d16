"""Answers one problem at every thinking budget from a single thought.

Under greedy decoding a thought does not depend on the budget until the budget ends it. So the model thinks once without
a limit; at each budget the session is forked and the fork is shifted to its answer. Budgets that are larger than the
thought, or reached after the answer has begun, share the unlimited reply. The rows equal those of one run per budget (a
test checks it).

A sampled reply is forked in the same way: the part before a budget is the beginning of one sample, so each row has the
distribution of a run of its own, and the rows of a sample are paired. An engine with keyed sampling gives the same
tokens as well. With `separate_runs` every budget has its own thought, for engines that cannot fork.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b

from z1 import profiles
from z1.benchmarks import Benchmark
from z1.engines import DriverOptions, Engine, Sampling, Session, run_flow, update_flow
from z1.errors import EngineFault
from z1.grading import Verdict
from z1.prompts import prompt_token_ids
from z1.records import Attempt, Problem
from z1.think import AnswerDetector, Bucket, End, Flow, Ledger, Sample, Shift

GREEDY = Sampling()


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

    @property
    def budgets(self) -> tuple[int | None, ...]:
        """The budgets in ascending order, unlimited (None) last."""
        return (*sorted(set(self.thinking_budgets)), None)


async def sweep_problem(sweep: Sweep, problem: Problem, sample: int = 0) -> list[Attempt]:
    """One attempt per budget, with the sample number `sample`; all of them missing if the engine fails."""
    profile = profiles.get_profile(sweep.engine.profile)
    prompt = prompt_token_ids(sweep.engine.tokenizer, profile, sweep.benchmark.messages(problem))
    stops = profiles.stop_token_ids(sweep.engine.tokenizer, profile)
    sampling = replace(sweep.sampling, stop_token_ids=stops, sample=_sample_key(problem, sample))
    run = _separate_thoughts if sweep.separate_runs else _shared_thought
    try:
        flows = await run(sweep, prompt, sampling)
    except EngineFault as fault:
        missing = [_missing(sweep, problem, budget, prompt, fault) for budget in sweep.budgets]
        return [replace(one, sample=sample) for one in missing]
    graded = [await _attempt(sweep, problem, budget, prompt, flow) for budget, flow in flows.items()]
    return [replace(one, sample=sample) for one in graded]


def _sample_key(problem: Problem, sample: int) -> int:
    """The sample number for the engine, different for each problem, so that problems have independent samples."""
    return int.from_bytes(blake2b(f"{problem.id}:{sample}".encode(), digest_size=8).digest()) >> 33


async def _separate_thoughts(sweep: Sweep, prompt: list[int], sampling: Sampling) -> dict[int | None, Flow]:
    tokenizer, profile = sweep.engine.tokenizer, profiles.get_profile(sweep.engine.profile)
    flows: dict[int | None, Flow] = {}
    for budget in sweep.budgets:
        detector = profiles.make_detector(tokenizer, profile)  # stateful: one for each reply
        session = await sweep.engine.open(prompt, sampling)
        try:
            window = profiles.make_window(tokenizer, profile, budget, sweep.max_answer_tokens)
            flows[budget] = await run_flow(
                Flow(window, session.free_tokens, detects_answer=detector is not None), session, DriverOptions(detector)
            )
        finally:
            await session.close()
    return flows


async def _shared_thought(sweep: Sweep, prompt: list[int], sampling: Sampling) -> dict[int | None, Flow]:
    tokenizer, profile = sweep.engine.tokenizer, profiles.get_profile(sweep.engine.profile)
    detector = profiles.make_detector(tokenizer, profile)
    session = await sweep.engine.open(prompt, sampling)
    free_tokens = session.free_tokens
    flows: dict[int | None, Flow] = {}
    try:
        free = Flow(
            profiles.make_window(tokenizer, profile, None, sweep.max_answer_tokens),
            free_tokens,
            detects_answer=detector is not None,
        )
        for budget in (w for w in sweep.budgets if w is not None):
            await _advance(free, session, detector, budget)
            if free.end is not None or free.is_answering or len(free.token_ids) < budget:
                flows[budget] = free
                continue
            flow = Flow(profiles.make_window(tokenizer, profile, budget, sweep.max_answer_tokens), free_tokens)
            for token in free.token_ids:
                flow.add_tokens((token,))
            fork = await session.fork()
            try:
                flows[budget] = await run_flow(flow, fork)
            finally:
                await fork.close()
        flows[None] = await run_flow(free, session, DriverOptions(detector))
    finally:
        await session.close()
    return flows


async def _advance(flow: Flow, session: Session, detector: AnswerDetector | None, until: int) -> None:
    """Sample until the reply has `until` tokens, its answer has begun, or it has ended."""
    while len(flow.token_ids) < until and not flow.is_answering:
        step = flow.next_step()
        if not isinstance(step, Sample):
            return
        sampled = await session.sample(min(step.max_tokens, until - len(flow.token_ids)))
        update_flow(flow, sampled.token_ids, detector)


async def _attempt(sweep: Sweep, problem: Problem, budget: int | None, prompt: list[int], flow: Flow) -> Attempt:
    tokenizer, spans = sweep.engine.tokenizer, flow.spans()
    texts = [profiles.decode(tokenizer, flow.token_ids[span.start : span.end]) for span in spans]
    text = profiles.decode(
        tokenizer, [t for s in spans if s.bucket in _GRADED for t in flow.token_ids[s.start : s.end]]
    )
    if not flow.is_answering:  # a stop token after the last think tag would hide the tag
        text = profiles.decode(
            tokenizer, [t for s in spans if s.bucket is not Bucket.STOP for t in flow.token_ids[s.start : s.end]]
        )
    grade = await asyncio.to_thread(sweep.benchmark.grade, text, problem, flow.end is not End.STOP)
    return Attempt(
        problem.id,
        budget,
        0,
        prompt,
        flow.token_ids,
        [[span.bucket.value, span.start, span.end] for span in spans],
        texts,
        asdict(flow.ledger()),
        (flow.end or End.ABORTED).value,
        (flow.shift_reason or Shift.NATURAL).value,
        grade.verdict.value,
        grade.reason,
        sweep.tokenizer_hash,
    )


_GRADED = (Bucket.HINT, Bucket.ANSWER)


def _missing(sweep: Sweep, problem: Problem, budget: int | None, prompt: list[int], fault: EngineFault) -> Attempt:
    ledger, end = asdict(Ledger()), End.ABORTED.value
    missing, why, tokenizer = Verdict.MISSING.value, str(fault), sweep.tokenizer_hash
    return Attempt(problem.id, budget, 0, prompt, [], [], [], ledger, end, "", missing, why, tokenizer)
