"""Tests of z1.serve.runtime.reply_runner."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import pytest

from tests.serve.scripts import ANSWER, FORCED, HINT, THOUGHT, next_token, scripted
from z1.engines import Engine, Sampling
from z1.engines.local.worker import SubprocessEngine
from z1.engines.scripted import ScriptedEngine, ScriptedSession
from z1.errors import EngineFault, UserError
from z1.serve.api.budget import Budget
from z1.serve.runtime import reply_runner
from z1.serve.runtime.reply_runner import (
    Event,
    Failed,
    GenerationRequest,
    NewTokens,
    ReplyFinished,
    ReplyGroup,
    ReplyRunner,
    Started,
)
from z1.think import Bucket, End, Shift

PROMPT = tuple(map(ord, "why?"))
STOPS = Sampling(frozenset({3}))


def request(prompt: Sequence[int] = PROMPT, **budget: Any) -> GenerationRequest:
    return GenerationRequest(tuple(prompt), Budget(**budget), STOPS)


def with_runner(
    act: Callable[[ReplyRunner], Awaitable[Any]], engine: Engine | None = None, stream_interval: float = 0.0
) -> Any:
    async def run() -> Any:
        runner = ReplyRunner(engine or scripted(), stream_interval)
        await runner.open()
        try:
            return await act(runner)
        finally:
            await runner.close()

    return asyncio.run(run())


async def all_events(group: ReplyGroup, index: int = 0) -> list[Event]:
    """All events of one reply."""
    events: list[Event] = []
    while not (events and isinstance(events[-1], ReplyFinished | Failed)):
        events += [event for at, event in await group.events() if at == index]
    return events


def text(events: list[Event]) -> str:
    tokens = [event for event in events if isinstance(event, NewTokens) and event.bucket is not Bucket.STOP]
    return "".join(chr(token) for event in tokens for token in event.token_ids)


def test_the_events_of_a_reply() -> None:
    events = with_runner(lambda runner: all_events(runner.start([request(thinking_budget=12)])))
    first, *_, last = events
    assert isinstance(first, Started)
    assert first.window.thinking_budget == 12
    assert text(events) == THOUGHT[:12] + HINT + FORCED
    assert isinstance(last, ReplyFinished)
    assert (last.shift, last.end, last.ledger.thought) == (Shift.BUDGET, End.STOP, 12)
    assert last.time_to_answer is not None
    assert 0 < last.time_to_answer <= last.seconds


def test_the_stream_interval_changes_the_events_and_not_the_tokens() -> None:
    fast = with_runner(lambda runner: all_events(runner.start([request()])), stream_interval=60)
    slow = with_runner(lambda runner: all_events(runner.start([request()])), scripted(token_delay_s=0.01))
    assert text(slow) == text(fast) == THOUGHT + ANSWER
    assert (
        sum(isinstance(event, NewTokens) for event in slow) > 10 > sum(isinstance(event, NewTokens) for event in fast)
    )


def test_polls_are_rarer_with_more_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_runner, "POLL_SECONDS_PER_REQUEST", 60.0)

    async def act(runner: ReplyRunner) -> tuple[list[Event], int]:
        return await all_events(runner.start([request()])), runner.poll_count

    events, polls = with_runner(act, scripted(token_delay_s=0.001))
    assert text(events) == THOUGHT + ANSWER
    assert polls == 1


def test_many_requests_run_concurrently() -> None:
    async def act(runner: ReplyRunner) -> list[str]:
        groups = [runner.start([request(thinking_budget=n), request(thinking_budget=n + 1)]) for n in range(20)]
        return [text(await all_events(one, index=1)) for one in groups]

    assert with_runner(act) == [THOUGHT[: n + 1] + HINT + FORCED for n in range(20)]


def test_a_request_that_does_not_fit_is_a_user_error() -> None:
    (event,) = with_runner(lambda runner: all_events(runner.start([request(prompt=[65] * 5000)])))
    assert isinstance(event, Failed)
    assert isinstance(event.error, UserError)
    (event,) = with_runner(lambda runner: all_events(runner.start([request(max_tokens=50)])))
    assert "hint and answer need" in str(event.error)


async def first_events(group: ReplyGroup) -> None:
    await group.events()


def test_answer_now_has_an_effect_once() -> None:
    async def act(runner: ReplyRunner) -> tuple[list[bool], list[Event]]:
        replies = runner.start([request()])
        await first_events(replies)
        results = [replies.answer_now(), replies.answer_now()]
        events = await all_events(replies)
        return [*results, replies.answer_now()], events

    results, events = with_runner(act, scripted(token_delay_s=0.1))
    assert results == [True, False, False]
    assert events[-1].shift is Shift.CONTROL
    assert text(events).endswith(HINT + FORCED)


class SlowToOpen(ScriptedEngine):
    """Opens a session after 0.1 seconds."""

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        await asyncio.sleep(0.1)
        return await super().open(prompt, sampling)


@pytest.mark.parametrize(("thinking", "acts"), [(None, True), (50, True), (0, False)])
def test_answer_now_before_the_thought_has_started(thinking: int | None, acts: bool) -> None:
    async def act(runner: ReplyRunner) -> tuple[list[bool], list[Event]]:
        replies = runner.start([request(thinking_budget=thinking)])
        return [replies.answer_now(), replies.answer_now()], await all_events(replies)

    results, events = with_runner(act, SlowToOpen(next_token))
    assert results == [acts, False]
    assert events[-1].ledger.thought == 0
    assert events[-1].end is End.STOP


def test_a_deadline_counts_from_the_arrival_of_the_request() -> None:
    events = with_runner(
        lambda runner: all_events(runner.start([request(deadline=0.05)])), SlowToOpen(next_token, token_delay_s=0.001)
    )
    assert (events[-1].shift, events[-1].ledger.thought) == (Shift.DEADLINE, 0)
    events = with_runner(lambda runner: all_events(runner.start([request(deadline=1.0)])), scripted(token_delay_s=0.1))
    assert events[-1].shift is Shift.DEADLINE
    assert 0 < events[-1].ledger.thought < len(THOUGHT)


class SessionCounter(ScriptedEngine):
    """Counts open sessions."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(next_token, **settings)
        self.live = 0

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        session = await super().open(prompt, sampling)
        self.live += 1
        session.close = self.closed  # type: ignore[method-assign]
        return session

    async def closed(self) -> None:
        self.live -= 1


def test_a_cancelled_reply_frees_its_session() -> None:
    engine = SessionCounter(token_delay_s=0.2)

    async def act(runner: ReplyRunner) -> tuple[int, Event]:
        replies, other = runner.start([request(), request()]), runner.start([request(thinking_budget=3)])
        async with asyncio.timeout(10):
            while engine.live < 3:
                await asyncio.sleep(0.01)
        replies.cancel()
        events = await all_events(replies)
        replies.cancel()
        await all_events(other)
        while runner.running_requests:
            await asyncio.sleep(0.01)
        return runner.running_requests, events[-1]

    running, last = with_runner(act, engine)
    assert isinstance(last, Failed)
    assert (engine.live, running) == (0, 0)


def failing_engine(at: int, error: Exception) -> ScriptedEngine:
    def token_or_error(context: Sequence[int]) -> int:
        if chr(context[0]) == "x" and len(context) > at:
            raise error
        return next_token(context)

    return ScriptedEngine(token_or_error, token_delay_s=0.001)


@pytest.mark.parametrize("error", [EngineFault("out of memory"), RuntimeError("out of memory")])
def test_a_failed_reply_does_not_affect_others(error: Exception) -> None:
    async def act(runner: ReplyRunner) -> tuple[list[Event], list[Event]]:
        bad, good = runner.start([request(prompt=tuple(map(ord, "x?")))]), runner.start([request()])
        return await all_events(bad), await all_events(good)

    bad, good = with_runner(act, failing_engine(20, error))
    assert text(bad).startswith("let us")
    assert isinstance(bad[-1], Failed)
    assert isinstance(bad[-1].error, EngineFault)
    assert "out of memory" in str(bad[-1].error)
    assert text(good) == THOUGHT + ANSWER


class FailsToStart(ScriptedEngine):
    """Raises on start."""

    async def __aenter__(self) -> ScriptedEngine:  # type: ignore[override]
        raise EngineFault("no weights")


def test_an_engine_that_fails_to_start_raises() -> None:
    with pytest.raises(EngineFault, match="no weights"):
        with_runner(all_events, FailsToStart(next_token))  # type: ignore[arg-type]


class RecordsClose(ScriptedEngine):
    """Records that it was closed."""

    is_closed = False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_closed = True


def test_a_closed_runner_cancels_replies_and_starts_no_more() -> None:
    engine = RecordsClose(next_token, token_delay_s=0.05)

    async def act() -> tuple[Event, Event, bool]:
        runner = ReplyRunner(engine)
        await runner.open()
        replies = runner.start([request()])
        await first_events(replies)
        await runner.close()
        return (await all_events(replies))[-1], (await all_events(runner.start([request()])))[-1], runner.is_alive

    last, late, alive = asyncio.run(act())
    assert isinstance(last, Failed)
    assert isinstance(late, Failed)
    assert not alive
    assert engine.is_closed


def test_a_dead_engine_process_fails_its_replies() -> None:
    async def act(runner: ReplyRunner) -> tuple[Event, bool, list[Event]]:
        replies = runner.start([request()])
        await first_events(replies)
        os.kill(runner.engine._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        last = (await all_events(replies))[-1]
        return last, runner.is_alive, await all_events(runner.start([request()]))

    last, alive, (late,) = with_runner(act, SubprocessEngine(partial(scripted, token_delay_s=0.05)))
    assert isinstance(last, Failed)
    assert "process has ended" in str(last.error)
    assert isinstance(last.error, EngineFault)
    assert isinstance(late, Failed)
    assert not alive


def test_an_idle_runner_does_not_poll() -> None:
    """It waits for a request and not for time to pass."""
    polls = 0

    async def act(runner: ReplyRunner) -> None:
        nonlocal polls
        await all_events(runner.start([request(thinking_budget=0)]))
        before = runner.poll_count
        await asyncio.sleep(0.1)
        polls = runner.poll_count - before

    with_runner(act)
    assert polls <= 1
