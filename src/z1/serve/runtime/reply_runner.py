"""Where do replies come about?

Windows are driven here, in the server's loop, beside an engine that computes elsewhere (one that computes in this
process holds up everybody for as long as a step takes). Orders go in, events come out: what came since the last look
at each reply, at most every `every` seconds a reply. What ends, ends here: a reply whose client went away gives back
its session at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from z1 import profiles
from z1.engines import Control, DriverOptions, Engine, Logprob, Probe, Sampling, Session, drive
from z1.errors import EngineFault, Z1Error
from z1.serve.api.budget import Budget, window
from z1.serve.api.policy import NONE, Policy, exits
from z1.think import Bucket, End, Flow, Ledger, Shift, Window

TICK = 0.005
"""Seconds between two rounds in which it is asked whose turn it is to be looked at."""

LOOK = 0.0001
"""Seconds that a round lets pass for each request under way; a look costs a thirtieth of it."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One reply that is wanted. `stop` are strings that end the answer; `arrived` is when it was asked for;
    `prefix_token_ids` is a thought that the reply goes on from.
    """

    prompt_token_ids: tuple[int, ...]
    budget: Budget
    sampling: Sampling
    stop: tuple[str, ...] = ()
    arrived: float = field(default_factory=time.monotonic)
    policy: Policy = NONE
    prefix_token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The reply has begun: its window, and how many ids may come in all."""

    window: Window
    total: int


class NewTokens(NamedTuple):
    """These ids came, and stand in this bucket; each with its score where they are asked for and it was sampled."""

    bucket: Bucket
    token_ids: tuple[int, ...]
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """Nothing more comes. `answered` are seconds from the order to the answer's first id, None where there is none."""

    ledger: Ledger
    shift: Shift | None
    end: End
    answered: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing more comes, because something failed; what came before stands."""

    error: Z1Error


Event = Started | NewTokens | Probe | ReplyFinished | Failed


IndexedEvent = tuple[int, Event]
"""Which of a request's replies, and what happened to it."""


class ReplyGroup:
    """One request's replies under way."""

    def __init__(self, orders: Sequence[GenerationRequest]) -> None:
        self.orders = tuple(orders)
        self.carried: dict[int, _RunningReply] = {}
        """Those that have not ended, as the room knows them."""
        self._events: list[IndexedEvent] = []
        self._waiting: asyncio.Future[None] | None = None

    async def events(self) -> list[IndexedEvent]:
        """What happened since the last call, at least one event; not to be asked again after the last end."""
        if not self._events:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        events, self._events = self._events, []
        return events

    def answer_now(self) -> bool:
        """Stop the thoughts; whether that changed anything."""
        acted = [carried.answer_now() for carried in self.carried.values()]
        return any(acted)

    def cancel(self) -> None:
        """Give them up; their sessions are freed at once. No effect on what has ended."""
        for carried in self.carried.values():
            carried.task.cancel()

    def tell(self, index: int, event: Event) -> None:
        """Something has happened to one of them."""
        self._events.append((index, event))
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class ReplyRunner:
    """Where replies come about. `open` before the first order, `close` after the last."""

    def __init__(self, engine: Engine, every: float = 0.05) -> None:
        self.engine, self._every = engine, every
        self._running: dict[ReplyGroup, None] = {}
        self._beside: set[asyncio.Task[None]] = set()
        self._work, self._open = asyncio.Event(), False
        self.rounds = 0

    async def open(self) -> None:
        """Start the engine. Raises what the engine raises."""
        await self.engine.__aenter__()
        self._open = True
        self._looking = asyncio.create_task(self._rounds())

    async def close(self) -> None:
        """Give up what is under way, and close the engine."""
        self._open = False
        tasks = [carried.task for carried in self._all()] + [*self._beside, self._looking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.engine.__aexit__(None, None, None)

    @property
    def alive(self) -> bool:
        """Whether orders can be taken."""
        return self._open and getattr(self.engine, "alive", True)

    @property
    def running(self) -> int:
        """Requests that have replies under way."""
        return len(self._running)

    def place(self, orders: Sequence[GenerationRequest]) -> ReplyGroup:
        """Begin the replies of a request."""
        replies = ReplyGroup(orders)
        if not self.alive:
            replies.tell(0, Failed(EngineFault("the engine is gone")))
            return replies
        self._running[replies] = None
        for index, order in enumerate(replies.orders):
            carried = replies.carried[index] = _RunningReply(order, partial(replies.tell, index))
            carried.task = asyncio.create_task(carried.run(self.engine))
            carried.task.add_done_callback(partial(self._gone, replies, index))
        self._work.set()
        return replies

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside the replies. Raises EngineFault where there is no engine."""
        if not self.alive:
            work.close()
            raise EngineFault("the engine is gone")
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    async def _rounds(self) -> None:
        """Look at every reply whose turn it is; one that has said nothing yet is looked at every time."""
        while True:
            if not self._running:
                self._work.clear()
                await self._work.wait()
            self.rounds += 1
            now = time.monotonic()
            for carried in self._all():
                if now >= carried.due:
                    carried.look(now + self._every)
            await asyncio.sleep(max(TICK, LOOK * len(self._running)))

    def _all(self) -> list[_RunningReply]:
        return [carried for replies in self._running for carried in replies.carried.values()]

    def _gone(self, replies: ReplyGroup, index: int, _: asyncio.Task[None]) -> None:
        del replies.carried[index]
        if not replies.carried:
            del self._running[replies]


class _RunningReply:
    """One reply on its way."""

    task: asyncio.Task[None]

    def __init__(self, order: GenerationRequest, post: Callable[[Event], None]) -> None:
        self._order, self._post = order, post
        self._control: Control | None = None
        self._asked = False
        self._answered: float | None = None
        self._scored = 0
        self._next = 0.0
        self.due = 0.0

    async def run(self, engine: Engine) -> None:
        """From the order to its end; every failure becomes an event."""
        try:
            session = await engine.open(
                self._order.prompt_token_ids + self._order.prefix_token_ids, self._order.sampling
            )
            try:
                self._post(await self._drive(engine, session))
            finally:
                await session.close()
        except Z1Error as error:
            self._post(Failed(error))
        except asyncio.CancelledError:
            self._post(Failed(EngineFault("the reply was given up")))
        except Exception as error:  # an engine's code is not ours: whatever it raises is its fault
            self._post(Failed(EngineFault(f"the engine failed: {error!r}")))

    def look(self, next_time: float) -> None:
        """Tell what came; the next look is due then, or at once where nothing has come yet."""
        self._next = next_time
        if self._control is not None:
            self._control.look()

    def answer_now(self) -> bool:
        """Stop the thought; before it has begun too."""
        if self._control is not None:
            return self._control.answer_now()
        first, self._asked = not self._asked, True
        return first and self._order.budget.thinks and self._order.budget.thinking_budget != 0

    async def _drive(self, engine: Engine, session: Session) -> ReplyFinished:
        order, profile = self._order, profiles.profile(engine.profile)
        made, total = window(engine.tokenizer, profile, order.budget, session.free_tokens + len(order.prefix_token_ids))
        made = replace(made, stop_token_ids=order.sampling.stop_token_ids)
        detector = (
            profiles.detector(engine.tokenizer, profile, made.min_thinking_tokens) if order.budget.thinks else None
        )
        strings = profiles.stop_strings(engine.tokenizer, order.stop)
        flow = Flow(made, total, detects=detector is not None, strings=strings)
        for token in order.prefix_token_ids:
            flow.came((token,))
        self._post(Started(made, total))
        self._control = Control(flow, session)
        if self._asked:
            self._control.answer_now()
        left = order.budget.deadline
        if left is not None:
            left = max(0.0, left - (time.monotonic() - order.arrived))
        self._scores = session.logprobs
        leave = exits(order.policy, engine, self._post)
        await drive(flow, session, DriverOptions(detector, None, left, self._listen, leave), self._control)
        ended = flow.end or End.ABORTED
        return ReplyFinished(flow.ledger(), flow.shifted, ended, self._answered, time.monotonic() - order.arrived)

    def _listen(self, bucket: Bucket, ids: tuple[int, ...]) -> None:
        self.due = self._next
        if bucket is Bucket.ANSWER and self._answered is None:
            self._answered = time.monotonic() - self._order.arrived
        first = self._scored
        if bucket is not Bucket.HINT:
            self._scored += len(ids)
        self._post(NewTokens(bucket, ids, tuple(self._scores[first : self._scored])))
