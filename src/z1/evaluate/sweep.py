"""What would each window have made of this problem?

Under greedy decoding a thought does not depend on the window until the window ends it. So the model thinks once,
freely; at each window's border the session is forked and the fork is shifted to its answer. Windows that the thought,
or an answer that has begun, ends before share the free reply. The rows are those that one run a window would give (a
test holds it).

A reply that is drawn at random is forked in the same way: what a window ends is the beginning of one draw, so each row
is distributed as one of its own, and the rows of a draw are paired. An engine whose draws are keyed gives the same ids
as well. Where an engine cannot fork, `apart` has each window think for itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b

from z1 import profiles
from z1.benchmarks import Benchmark
from z1.engines import DriverOptions, Engine, Sampling, Session, drive, tell
from z1.errors import EngineFault
from z1.grading import Verdict
from z1.records import Attempt, Problem
from z1.think import AnswerDetector, Bucket, End, Flow, Ledger, Sample, Shift

GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Sweep:
    """What every problem of a run is put through: `thinking_budgets` in ids, and free thinking besides;
    `max_answer_tokens` in ids.

    Each problem is asked `samples` times; `sampling` says how ids are drawn, its stops and its `sample` aside. With
    `separate_runs` every window thinks for itself.
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
    def every(self) -> tuple[int | None, ...]:
        """The windows in ascending order, free thinking last."""
        return (*sorted(set(self.thinking_budgets)), None)


async def sweep(setting: Sweep, problem: Problem, sample: int = 0) -> list[Attempt]:
    """One attempt a window, of the draw number `sample`; all of them missing where the engine fails."""
    profile = profiles.profile(setting.engine.profile)
    prompt = profiles.prompt_ids(setting.engine.tokenizer, profile, setting.benchmark.messages(problem))
    stops = profiles.stop_ids(setting.engine.tokenizer, profile)
    sampling = replace(setting.sampling, stop_token_ids=stops, sample=_draw(problem, sample))
    think = _think_apart if setting.separate_runs else _think_once
    try:
        flows = await think(setting, prompt, sampling)
    except EngineFault as fault:
        missing = [_missing(setting, problem, window, prompt, fault) for window in setting.every]
        return [replace(one, sample=sample) for one in missing]
    graded = [await _attempt(setting, problem, window, prompt, flow) for window, flow in flows.items()]
    return [replace(one, sample=sample) for one in graded]


def _draw(problem: Problem, sample: int) -> int:
    """The number of a draw: another one for every problem, so that no two problems share their chances."""
    return int.from_bytes(blake2b(f"{problem.id}:{sample}".encode(), digest_size=8).digest()) >> 33


async def _think_apart(setting: Sweep, prompt: list[int], sampling: Sampling) -> dict[int | None, Flow]:
    tokenizer, profile = setting.engine.tokenizer, profiles.profile(setting.engine.profile)
    flows: dict[int | None, Flow] = {}
    for thinking in setting.every:
        detector = profiles.detector(tokenizer, profile)  # it remembers what it has seen
        session = await setting.engine.open(prompt, sampling)
        try:
            window = profiles.window(tokenizer, profile, thinking, setting.max_answer_tokens)
            flows[thinking] = await drive(
                Flow(window, session.free_tokens, detects=detector is not None), session, DriverOptions(detector)
            )
        finally:
            await session.close()
    return flows


async def _think_once(setting: Sweep, prompt: list[int], sampling: Sampling) -> dict[int | None, Flow]:
    tokenizer, profile = setting.engine.tokenizer, profiles.profile(setting.engine.profile)
    detector = profiles.detector(tokenizer, profile)
    session = await setting.engine.open(prompt, sampling)
    room = session.free_tokens
    flows: dict[int | None, Flow] = {}
    try:
        free = Flow(
            profiles.window(tokenizer, profile, None, setting.max_answer_tokens), room, detects=detector is not None
        )
        for thinking in (w for w in setting.every if w is not None):
            await _advance(free, session, detector, thinking)
            if free.end is not None or free.answering or len(free.token_ids) < thinking:
                flows[thinking] = free
                continue
            flow = Flow(profiles.window(tokenizer, profile, thinking, setting.max_answer_tokens), room)
            for token in free.token_ids:
                flow.came((token,))
            fork = await session.fork()
            try:
                flows[thinking] = await drive(flow, fork)
            finally:
                await fork.close()
        flows[None] = await drive(free, session, DriverOptions(detector))
    finally:
        await session.close()
    return flows


async def _advance(flow: Flow, session: Session, detector: AnswerDetector | None, until: int) -> None:
    """Think on until the reply has `until` ids, its answer has begun, or it has ended."""
    while len(flow.token_ids) < until and not flow.answering:
        step = flow.next()
        if not isinstance(step, Sample):
            return
        sampled = await session.sample(min(step.limit, until - len(flow.token_ids)))
        tell(flow, sampled.token_ids, detector)


async def _attempt(setting: Sweep, problem: Problem, window: int | None, prompt: list[int], flow: Flow) -> Attempt:
    tokenizer, spans = setting.engine.tokenizer, flow.spans()
    texts = [profiles.text_of(tokenizer, flow.token_ids[span.start : span.end]) for span in spans]
    said = profiles.text_of(
        tokenizer, [t for s in spans if s.bucket in _GRADED for t in flow.token_ids[s.start : s.end]]
    )
    if not flow.answering:  # a stop id behind the last fence would hide that it is one
        said = profiles.text_of(
            tokenizer, [t for s in spans if s.bucket is not Bucket.STOP for t in flow.token_ids[s.start : s.end]]
        )
    grade = await asyncio.to_thread(setting.benchmark.grade, said, problem, flow.end is not End.STOP)
    return Attempt(
        problem.id,
        window,
        0,
        prompt,
        flow.token_ids,
        [[span.bucket.value, span.start, span.end] for span in spans],
        texts,
        asdict(flow.ledger()),
        (flow.end or End.ABORTED).value,
        (flow.shifted or Shift.NATURAL).value,
        grade.verdict.value,
        grade.reason,
        setting.tokenizer_hash,
    )


_GRADED = (Bucket.HINT, Bucket.ANSWER)


def _missing(setting: Sweep, problem: Problem, window: int | None, prompt: list[int], fault: EngineFault) -> Attempt:
    ledger, end = asdict(Ledger()), End.ABORTED.value
    missing, why, tokenizer = Verdict.MISSING.value, str(fault), setting.tokenizer_hash
    return Attempt(problem.id, window, 0, prompt, [], [], [], ledger, end, "", missing, why, tokenizer)
