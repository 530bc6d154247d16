"""Do replies come about beside their server, end when they should, and take nothing with them?"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import pytest

from tests.serve.scripts import ANSWER, FORCED, HINT, THOUGHT, says, scripted
from z1.engines import Engine, Sampling
from z1.engines.local.worker import SubprocessEngine
from z1.engines.scripted import ScriptedEngine, ScriptedSession
from z1.errors import EngineFault, UserError
from z1.serve.api.budget import Budget
from z1.serve.runtime import reply_runner as room_module
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


def order(prompt: Sequence[int] = PROMPT, **asked: Any) -> GenerationRequest:
    return GenerationRequest(tuple(prompt), Budget(**asked), STOPS)


def within(act: Callable[[ReplyRunner], Awaitable[Any]], engine: Engine | None = None, every: float = 0.0) -> Any:
    async def run() -> Any:
        room = ReplyRunner(engine or scripted(), every)
        await room.open()
        try:
            return await act(room)
        finally:
            await room.close()

    return asyncio.run(run())


async def story(replies: ReplyGroup, index: int = 0) -> list[Event]:
    """Everything that happens to one reply."""
    happened: list[Event] = []
    while not (happened and isinstance(happened[-1], ReplyFinished | Failed)):
        happened += [event for at, event in await replies.events() if at == index]
    return happened


def text(events: list[Event]) -> str:
    came = [event for event in events if isinstance(event, NewTokens) and event.bucket is not Bucket.STOP]
    return "".join(chr(token) for event in came for token in event.token_ids)


def test_a_reply_begins_comes_and_ends() -> None:
    events = within(lambda room: story(room.place([order(thinking=12)])))
    first, *_, last = events
    assert isinstance(first, Started)
    assert first.window.thinking_budget == 12
    assert text(events) == THOUGHT[:12] + HINT + FORCED
    assert isinstance(last, ReplyFinished)
    assert (last.shift, last.end, last.ledger.thought) == (Shift.BUDGET, End.STOP, 12)
    assert last.answered is not None
    assert 0 < last.answered <= last.seconds


def test_it_comes_in_many_pieces_where_time_passes_and_the_ids_are_the_same() -> None:
    fast = within(lambda room: story(room.place([order()])), every=60)
    slow = within(lambda room: story(room.place([order()])), scripted(pace=0.01))
    assert text(slow) == text(fast) == THOUGHT + ANSWER
    assert (
        sum(isinstance(event, NewTokens) for event in slow) > 10 > sum(isinstance(event, NewTokens) for event in fast)
    )


def test_the_more_replies_there_are_the_less_often_all_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "LOOK", 60.0)

    async def act(room: ReplyRunner) -> tuple[list[Event], int]:
        return await story(room.place([order()])), room.rounds

    events, rounds = within(act, scripted(pace=0.001))
    assert text(events) == THOUGHT + ANSWER
    assert rounds == 1


def test_many_replies_of_many_requests_run_at_once() -> None:
    async def act(room: ReplyRunner) -> list[str]:
        placed = [room.place([order(thinking=n), order(thinking=n + 1)]) for n in range(20)]
        return [text(await story(one, index=1)) for one in placed]

    assert within(act) == [THOUGHT[: n + 1] + HINT + FORCED for n in range(20)]


def test_what_does_not_fit_is_the_askers_fault() -> None:
    (event,) = within(lambda room: story(room.place([order(prompt=[65] * 5000)])))
    assert isinstance(event, Failed)
    assert isinstance(event.error, UserError)
    (event,) = within(lambda room: story(room.place([order(total=50)])))
    assert "hint and answer take" in str(event.error)


async def begun(replies: ReplyGroup) -> None:
    await replies.events()


def test_answer_now_acts_once_and_says_so() -> None:
    async def act(room: ReplyRunner) -> tuple[list[bool], list[Event]]:
        replies = room.place([order()])
        await begun(replies)
        said = [replies.answer_now(), replies.answer_now()]
        events = await story(replies)
        return [*said, replies.answer_now()], events

    said, events = within(act, scripted(pace=0.1))
    assert said == [True, False, False]
    assert events[-1].shift is Shift.CONTROL
    assert text(events).endswith(HINT + FORCED)


class Opening(ScriptedEngine):
    """Takes its time to open a session."""

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        await asyncio.sleep(0.1)
        return await super().open(prompt, sampling)


@pytest.mark.parametrize(("thinking", "acts"), [(None, True), (50, True), (0, False)])
def test_answer_now_before_the_thought_has_begun(thinking: int | None, acts: bool) -> None:
    async def act(room: ReplyRunner) -> tuple[list[bool], list[Event]]:
        replies = room.place([order(thinking=thinking)])
        return [replies.answer_now(), replies.answer_now()], await story(replies)

    said, events = within(act, Opening(says))
    assert said == [acts, False]
    assert events[-1].ledger.thought == 0
    assert events[-1].end is End.STOP


def test_a_deadline_counts_from_the_asking() -> None:
    events = within(lambda room: story(room.place([order(deadline=0.05)])), Opening(says, pace=0.001))
    assert (events[-1].shift, events[-1].ledger.thought) == (Shift.DEADLINE, 0)
    events = within(lambda room: story(room.place([order(deadline=1.0)])), scripted(pace=0.1))
    assert events[-1].shift is Shift.DEADLINE
    assert 0 < events[-1].ledger.thought < len(THOUGHT)


class Counted(ScriptedEngine):
    """Counts its open sessions."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(says, **settings)
        self.live = 0

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        session = await super().open(prompt, sampling)
        self.live += 1
        session.close = self.closed  # type: ignore[method-assign]
        return session

    async def closed(self) -> None:
        self.live -= 1


def test_a_reply_that_is_given_up_frees_its_session_at_once() -> None:
    engine = Counted(pace=0.2)

    async def act(room: ReplyRunner) -> tuple[int, Event]:
        replies, other = room.place([order(), order()]), room.place([order(thinking=3)])
        async with asyncio.timeout(10):
            while engine.live < 3:
                await asyncio.sleep(0.01)
        replies.cancel()
        events = await story(replies)
        replies.cancel()
        await story(other)
        while room.running:
            await asyncio.sleep(0.01)
        return room.running, events[-1]

    running, last = within(act, engine)
    assert isinstance(last, Failed)
    assert (engine.live, running) == (0, 0)


def failing(at: int, error: Exception) -> ScriptedEngine:
    def next_id(context: Sequence[int]) -> int:
        if chr(context[0]) == "x" and len(context) > at:
            raise error
        return says(context)

    return ScriptedEngine(next_id, pace=0.001)


@pytest.mark.parametrize("error", [EngineFault("out of memory"), RuntimeError("out of memory")])
def test_an_engine_that_fails_one_reply_loses_no_other(error: Exception) -> None:
    async def act(room: ReplyRunner) -> tuple[list[Event], list[Event]]:
        bad, good = room.place([order(prompt=tuple(map(ord, "x?")))]), room.place([order()])
        return await story(bad), await story(good)

    bad, good = within(act, failing(20, error))
    assert text(bad).startswith("let us")
    assert isinstance(bad[-1], Failed)
    assert isinstance(bad[-1].error, EngineFault)
    assert "out of memory" in str(bad[-1].error)
    assert text(good) == THOUGHT + ANSWER


class Doomed(ScriptedEngine):
    """Cannot be started."""

    async def __aenter__(self) -> ScriptedEngine:  # type: ignore[override]
        raise EngineFault("no weights")


def test_an_engine_that_does_not_start_says_why() -> None:
    with pytest.raises(EngineFault, match="no weights"):
        within(story, Doomed(says))  # type: ignore[arg-type]


class Closing(ScriptedEngine):
    """Remembers that it was closed."""

    ended = False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = True


def test_a_room_that_is_closed_gives_up_what_is_under_way_and_takes_no_more() -> None:
    engine = Closing(says, pace=0.05)

    async def act() -> tuple[Event, Event, bool]:
        room = ReplyRunner(engine)
        await room.open()
        replies = room.place([order()])
        await begun(replies)
        await room.close()
        return (await story(replies))[-1], (await story(room.place([order()])))[-1], room.alive

    last, late, alive = asyncio.run(act())
    assert isinstance(last, Failed)
    assert isinstance(late, Failed)
    assert not alive
    assert engine.ended


def test_an_engine_whose_process_dies_breaks_what_is_under_way_and_is_known_to_be_gone() -> None:
    async def act(room: ReplyRunner) -> tuple[Event, bool, list[Event]]:
        replies = room.place([order()])
        await begun(replies)
        os.kill(room.engine._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        last = (await story(replies))[-1]
        return last, room.alive, await story(room.place([order()]))

    last, alive, (late,) = within(act, SubprocessEngine(partial(scripted, pace=0.05)))
    assert isinstance(last, Failed)
    assert "process has ended" in str(last.error)
    assert isinstance(last.error, EngineFault)
    assert isinstance(late, Failed)
    assert not alive


def test_a_room_without_replies_sleeps() -> None:
    """It wakes for work, not for the clock: nothing is looked at while nothing is under way."""
    turns = 0

    async def act(room: ReplyRunner) -> None:
        nonlocal turns
        await story(room.place([order(thinking=0)]))
        before = room.rounds
        await asyncio.sleep(0.1)
        turns = room.rounds - before

    within(act)
    assert turns <= 1
