"""Conformance: what every engine must do.

Each check is an async function of an engine and a prompt (token ids); the test file of an engine runs all of them.
`PLAIN` has no stop tokens, so every sample runs to its limit. Equal tokens are promised in deterministic mode;
otherwise a near tie may go either way.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import pytest

from z1.engines import DriverOptions, Engine, FinishReason, Sampling, run_flow
from z1.errors import EngineFault
from z1.think import EndBias, Flow, Window

PLAIN = Sampling()

Check = Callable[[Engine, Sequence[int]], Awaitable[None]]


async def token_ids_of(
    engine: Engine, prompt: Sequence[int], window: Window, how: DriverOptions | None = None
) -> list[int]:
    session = await engine.open(prompt, PLAIN)
    try:
        return (await run_flow(Flow(window, session.free_tokens), session, how or DriverOptions())).token_ids
    finally:
        await session.close()


def windows(hint: tuple[int, ...]) -> list[Window]:
    return [Window(thinking, 5, hint, frozenset()) for thinking in (0, 1, 7, 16)]


async def two_passes(engine: Engine, prompt: Sequence[int], window: Window) -> list[int]:
    """The reference: think, discard the context, prefill all of it again, answer."""
    thought: tuple[int, ...] = ()
    if window.thinking_budget:
        first = await engine.open(prompt, PLAIN)
        thought = (await first.sample(window.thinking_budget)).token_ids
        await first.close()
    forced = Flow(window, 10_000)
    forced.add_tokens(thought) if thought else None
    hint = getattr(forced.next_step(), "token_ids", ())
    second = await engine.open([*prompt, *thought, *hint], PLAIN)
    answer = (await second.sample(window.max_answer_tokens)).token_ids
    await second.close()
    return [*thought, *hint, *answer]


async def agreement(engine: Engine, prompt: Sequence[int]) -> None:
    """One call, token by token, a batch and two passes give the same tokens."""
    chosen = windows(tuple(prompt[:3]))
    alone = [await token_ids_of(engine, prompt, window) for window in chosen]
    by_token = [await token_ids_of(engine, prompt, window, DriverOptions(max_chunk_tokens=1)) for window in chosen]
    batch = await asyncio.gather(
        *(token_ids_of(engine, prompt, window, DriverOptions(max_chunk_tokens=3)) for window in chosen * 3)
    )
    assert by_token == alone
    assert batch == alone * 3
    assert [await two_passes(engine, prompt, window) for window in chosen] == alone


async def forced_tokens_join_the_context(engine: Engine, prompt: Sequence[int]) -> None:
    """Forced tokens are context: the next tokens are those after a prompt with the forced tokens."""
    session = await engine.open(prompt, PLAIN)
    room = session.free_tokens
    await session.append(prompt[:2])
    assert session.free_tokens == room - 2
    joined = (await session.sample(6)).token_ids
    other = await engine.open([*prompt, *prompt[:2]], PLAIN)
    assert (await other.sample(6)).token_ids == joined
    await session.close()
    await other.close()


async def forks_agree(engine: Engine, prompt: Sequence[int]) -> None:
    """A fork continues like its origin, and neither affects the other."""
    origin = await engine.open(prompt, PLAIN)
    await origin.sample(4)
    fork = await origin.fork()
    await fork.append(prompt[:1])
    turned = (await fork.sample(5)).token_ids
    straight = (await origin.sample(5)).token_ids
    again = await engine.open(prompt, PLAIN)
    assert (await again.sample(9)).token_ids[4:] == straight
    await again.close()
    replay = await engine.open(prompt, PLAIN)
    await replay.sample(4)
    await replay.append(prompt[:1])
    assert (await replay.sample(5)).token_ids == turned
    for session in (origin, fork, replay):
        await session.close()


async def interruption_keeps_tokens(engine: Engine, prompt: Sequence[int]) -> None:
    """An interrupted sample returns its tokens so far, and the next sample continues them."""
    session = await engine.open(prompt, PLAIN)
    session.interrupt()
    task = asyncio.create_task(session.sample(20))
    for _ in range(4):
        await asyncio.sleep(0)
    session.interrupt()
    first = await task
    assert first.reason in (FinishReason.INTERRUPTED, FinishReason.LIMIT)
    rest = (await session.sample(20 - len(first.token_ids))).token_ids if len(first.token_ids) < 20 else ()
    whole = await engine.open(prompt, PLAIN)
    assert (await whole.sample(20)).token_ids == first.token_ids + rest
    await session.close()
    await whole.close()


async def pending_tokens_are_a_prefix(engine: Engine, prompt: Sequence[int]) -> None:
    """Pending tokens are a prefix of the sample, and () before and after it."""
    session = await engine.open(prompt, PLAIN)
    assert not session.pending_token_ids
    task = asyncio.create_task(session.sample(24))
    seen: list[tuple[int, ...]] = []
    while not task.done():
        seen.append(tuple(session.pending_token_ids))
        await asyncio.sleep(0)
    ids = (await task).token_ids
    assert all(ids[: len(part)] == part for part in seen)
    assert not session.pending_token_ids
    await session.close()


async def stop_tokens_end_a_sample(engine: Engine, prompt: Sequence[int]) -> None:
    """A stop token ends a sample and is its last token."""
    free = await engine.open(prompt, PLAIN)
    ids = (await free.sample(8)).token_ids
    await free.close()
    stop = ids[5]
    session = await engine.open(prompt, Sampling(stop_token_ids=frozenset({stop})))
    sampled = await session.sample(8)
    assert sampled.reason is FinishReason.STOP
    assert sampled.token_ids == ids[: ids.index(stop) + 1]
    await session.close()


async def forbidden_sequences_are_not_sampled(engine: Engine, prompt: Sequence[int]) -> None:
    """Forbidden tokens are not sampled, and allowed again in the next sample; sequences if the engine supports them."""
    if not engine.capabilities.max_forbidden_length:
        return
    session = await engine.open(prompt, PLAIN)
    ids = (await session.sample(8)).token_ids
    never = tuple((token,) for token in sorted(set(ids[:2])))
    stops = Sampling(frozenset(never[0]))
    bound = await engine.open(prompt, stops)
    kept = await bound.sample(8, never)
    assert (len(kept.token_ids), kept.reason) == (8, FinishReason.LIMIT)
    assert not {token for (token,) in never} & set(kept.token_ids)
    again = await engine.open([*prompt, *kept.token_ids], stops)
    assert await bound.sample(3) == await again.sample(3)
    pair = await engine.open(prompt, PLAIN)
    if engine.capabilities.max_forbidden_length > 1:
        first, second = (await pair.sample(2, (ids[:2],))).token_ids
        assert first == ids[0] and second != ids[1]
    for one in (session, bound, again, pair):
        await one.close()


async def a_bias_acts_from_its_token_on(engine: Engine, prompt: Sequence[int]) -> None:
    """A bias of nothing changes nothing; one that rises decides where it is large, until its sequence is complete."""
    if not engine.capabilities.can_bias:
        return
    plain = await engine.open(prompt, PLAIN)
    ids = (await plain.sample(8)).token_ids
    end = (next(token for token in prompt if token not in ids[:6]), ids[0])
    for maximum, kept in ((1e-6, 8), (1e6, 3)):
        session = await engine.open(prompt, PLAIN)
        sampled = [*(await session.sample(3)).token_ids]
        sampled += (await session.sample(5, (), EndBias(end, maximum, 6, 0))).token_ids
        assert tuple(sampled[:kept]) == ids[:kept]
        assert kept == 8 or tuple(sampled[3:5]) == end
        again = await engine.open([*prompt, *sampled[:5]], PLAIN)
        assert (await again.sample(3)).token_ids == tuple(sampled[5:])
        for one in (session, again):
            await one.close()
    await plain.close()


async def a_bias_changes_the_shares_of_sampled_tokens(engine: Engine, prompt: Sequence[int]) -> None:
    """A bias of log((1 - p) / p) on a token of probability p makes it half of the samples at temperature 1."""
    if not engine.capabilities.can_bias or not engine.capabilities.has_logprobs:
        return
    plain = await engine.open(prompt, Sampling(logprobs=2))
    await plain.sample(1)
    token, logprob = plain.logprobs[0].top[-1]
    await plain.close()
    if logprob == 0.0:  # a script: nothing is drawn
        return
    bias = EndBias((token,), math.log1p(-math.exp(logprob)) - logprob, 1, 0)
    count = 0
    for seed in range(200):
        session = await engine.open(prompt, Sampling(temperature=1.0, seed=seed))
        count += (await session.sample(1, (), bias)).token_ids == (token,)
        await session.close()
    assert 65 <= count <= 135  # five standard deviations


async def logprobs_match_tokens(engine: Engine, prompt: Sequence[int]) -> None:
    """Each token has a log-probability, consistent with the most likely ones, if they are requested; a fork may request
    its own.
    """
    if not engine.capabilities.has_logprobs:
        return
    plain = await engine.open(prompt, PLAIN)
    ids = (await plain.sample(6)).token_ids
    assert not plain.logprobs
    session = await engine.open(prompt, Sampling(logprobs=3))
    seen = [*(await session.sample(4)).token_ids]
    await session.append(prompt[:1])
    assert tuple(seen) == ids[:4]
    seen += (await session.sample(2)).token_ids
    fork = await session.fork()
    await fork.sample(1)
    assert (len(session.logprobs), len(fork.logprobs)) == (6, 1)
    for token, score in zip(seen, session.logprobs, strict=True):
        best = [logprob for _, logprob in score.top]
        assert len(best) <= 3 and best == sorted(best, reverse=True)
        assert score.logprob == best[0] and token in [one for one, logprob in score.top if logprob == best[0]]
        assert sum(map(math.exp, best)) <= 1 + 1e-5
    only = await engine.open(prompt, Sampling(logprobs=0))
    await only.sample(1)
    assert only.logprobs[0].top == () and only.logprobs[0].logprob == pytest.approx(
        session.logprobs[0].logprob, abs=1e-5
    )
    own = await plain.fork(Sampling(logprobs=0))
    await own.sample(2)
    assert len(own.logprobs) == 2 and not plain.logprobs
    for one in (plain, session, fork, only, own):
        await one.close()


async def forced_tokens_have_logprobs(engine: Engine, prompt: Sequence[int]) -> None:
    """Forced tokens have the log-probabilities that they have when they are sampled, and other tokens have theirs."""
    if not engine.capabilities.has_forced_logprobs:
        return
    sampled = await engine.open(prompt, Sampling(logprobs=0))
    ids = (await sampled.sample(6)).token_ids
    forced = await engine.open(prompt, Sampling(logprobs=0, forced_logprobs=True))
    free = forced.free_tokens
    await forced.append(ids[:2])
    await forced.append(ids[2:3])
    assert forced.free_tokens == free - 3 and forced.pending_token_ids == ()
    fork = await forced.fork()
    assert (await fork.sample(3)).token_ids == (await forced.sample(3)).token_ids == ids[3:]
    found, expected = ([one.logprob for one in session.logprobs] for session in (forced, sampled))
    assert found == pytest.approx(expected, abs=1e-5)
    other = ids[0] + 1 if ids[0] + 1 not in ids else ids[0] + 7
    await forced.append((other,))
    await forced.sample(1)
    assert len(forced.logprobs) == 8 and forced.logprobs[6].logprob < max(expected)
    for one in (sampled, forced, fork):
        await one.close()


async def limits_are_enforced(engine: Engine, prompt: Sequence[int]) -> None:
    """More tokens than fit are faults, and closing twice has no effect."""
    session = await engine.open(prompt, PLAIN)
    with pytest.raises(EngineFault):
        await session.sample(session.free_tokens + 1)
    with pytest.raises(EngineFault):
        await session.sample(0)
    with pytest.raises(EngineFault):
        await session.append([1] * (session.free_tokens + 1))
    await session.close()
    await session.close()


CHECKS: tuple[Check, ...] = (
    agreement,
    forced_tokens_join_the_context,
    forks_agree,
    interruption_keeps_tokens,
    pending_tokens_are_a_prefix,
    stop_tokens_end_a_sample,
    forbidden_sequences_are_not_sampled,
    a_bias_acts_from_its_token_on,
    a_bias_changes_the_shares_of_sampled_tokens,
    logprobs_match_tokens,
    forced_tokens_have_logprobs,
    limits_are_enforced,
)
