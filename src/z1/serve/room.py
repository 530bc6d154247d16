"""Where do replies come about while the server talks to its clients?

The engine and all windows live in a thread with an event loop of its own, so that a step of the model never waits for a
client, nor a client for a step. Orders go in, events come out: what came since the last look at each reply, at most
every `every` seconds a reply, all in one wake-up of the server's loop. What ends, ends here: a reply whose client went
away gives back its session at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from z1 import chat
from z1.engines import Control, Drive, Engine, Probe, Sampling, Session, drive
from z1.errors import EngineFault, Z1Error
from z1.serve.budget import Budget, window
from z1.serve.policy import NONE, Policy, exits
from z1.think import Bucket, End, Flow, Ledger, Shift, Window

TICK = 0.005
"""Seconds between two rounds in which it is asked whose turn it is to be looked at."""


@dataclass(frozen=True, slots=True)
class Order:
    """One reply that is wanted. `stop` are strings that end the answer; `arrived` is when it was asked for."""

    prompt: tuple[int, ...]
    budget: Budget
    sampling: Sampling
    stop: tuple[str, ...] = ()
    arrived: float = field(default_factory=time.monotonic)
    policy: Policy = NONE


@dataclass(frozen=True, slots=True)
class Begun:
    """The reply has begun: its window, and how many ids may come in all."""

    window: Window
    total: int


class Came(NamedTuple):
    """These ids came, and stand in this bucket."""

    bucket: Bucket
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes. `answered` are seconds from the order to the answer's first id, None where there is none."""

    ledger: Ledger
    shift: Shift | None
    end: End
    answered: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Broke:
    """Nothing more comes, because something failed; what came before stands."""

    error: Z1Error


Event = Begun | Came | Probe | Ended | Broke


Told = tuple[int, Event]
"""Which of a request's replies, and what happened to it."""


class Replies:
    """One request's replies under way, as the server's loop sees them."""

    def __init__(self, room: Room, orders: Sequence[Order]) -> None:
        self.orders = tuple(orders)
        self._room = room
        self._events: list[Told] = []
        self._waiting: asyncio.Future[None] | None = None

    async def events(self) -> list[Told]:
        """What happened since the last call, at least one event; not to be asked again after the last end."""
        if not self._events:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        events, self._events = self._events, []
        return events

    async def answer_now(self) -> bool:
        """Stop the thoughts; whether that changed anything."""
        return await self._room.ask(self)

    def cancel(self) -> None:
        """Give them up; their sessions are freed at once. No effect on what has ended."""
        self._room.cancel(self)

    def tell(self, told: Told) -> None:
        """An event has come (the room calls this in the server's loop)."""
        self._events.append(told)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Room:
    """The engine's thread. Made in the server's loop; `open` before the first order, `close` after the last."""

    def __init__(self, engine: Engine, every: float = 0.05) -> None:
        self.engine, self._every = engine, every
        self._running: dict[Replies, dict[int, _Carried]] = {}
        self._out: list[tuple[Replies, Told]] = []
        self._failure: BaseException | None = None
        self.rounds = 0

    async def open(self) -> None:
        """Start the thread and the engine. Raises what the engine raises."""
        self._server = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._server.create_future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="z1-engine", daemon=True)
        self._thread.start()
        await self._ready

    async def close(self) -> None:
        """Give up what is under way, close the engine, and end the thread."""
        self._to_engine(self._finish)
        await asyncio.to_thread(self._thread.join)

    @property
    def alive(self) -> bool:
        """Whether orders can be taken."""
        return self._failure is None and self._thread.is_alive()

    @property
    def running(self) -> int:
        """Requests that have replies under way."""
        return len(self._running)

    def place(self, orders: Sequence[Order]) -> Replies:
        """Begin the replies of a request."""
        replies = Replies(self, orders)
        if not self._to_engine(self._begin, replies):
            replies.tell((0, Broke(EngineFault("the engine is gone"))))
        return replies

    def cancel(self, replies: Replies) -> None:
        """Give replies up."""
        self._to_engine(self._drop, replies)

    def spawn(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run `work` in the engine's loop, beside the replies. Raises EngineFault where there is none."""
        if not self.alive:
            work.close()
            raise EngineFault("the engine is gone")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def ask(self, replies: Replies) -> bool:
        """Ask for the answers now; whether that changes anything."""
        said: asyncio.Future[bool] = self._server.create_future()
        if not self._to_engine(self._answer_now, replies, said):
            return False
        return await said

    # What follows runs in the engine's thread.

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work, self._over = asyncio.Event(), False
        try:
            async with self.engine:
                self._to_server(self._settle, None)
                await self._rounds()
        except BaseException as error:
            self._failure = error
            self._to_server(self._settle, error)
        finally:
            tasks = [carried.task for carried in self._all()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._flush()

    async def _rounds(self) -> None:
        """Look at every reply whose turn it is; one that has said nothing yet is looked at every time."""
        while not self._over:
            if not self._running:
                self._work.clear()
                await self._work.wait()
            self.rounds += 1
            now = time.monotonic()
            for carried in self._all():
                if now >= carried.due:
                    carried.look(now + self._every)
            await asyncio.sleep(TICK)

    def _finish(self) -> None:
        self._over = True
        self._work.set()

    def _all(self) -> list[_Carried]:
        return [carried for group in self._running.values() for carried in group.values()]

    def _begin(self, replies: Replies) -> None:
        group = self._running[replies] = {}
        for index, order in enumerate(replies.orders):
            carried = group[index] = _Carried(order, partial(self._post, replies, index))
            carried.task = self._loop.create_task(carried.run(self.engine))
            carried.task.add_done_callback(partial(self._gone, replies, index))
        self._work.set()

    def _gone(self, replies: Replies, index: int, _: asyncio.Task[None]) -> None:
        group = self._running[replies]
        del group[index]
        if not group:
            del self._running[replies]

    def _drop(self, replies: Replies) -> None:
        for carried in self._running.get(replies, {}).values():
            carried.task.cancel()

    def _answer_now(self, replies: Replies, said: asyncio.Future[bool]) -> None:
        acted = [carried.answer_now() for carried in self._running.get(replies, {}).values()]
        self._to_server(lambda: None if said.done() else said.set_result(any(acted)))

    def _post(self, replies: Replies, index: int, event: Event) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append((replies, (index, event)))

    def _flush(self) -> None:
        batch, self._out = self._out, []
        self._to_server(_deliver, batch)

    # Between the two threads.

    def _settle(self, error: BaseException | None) -> None:
        if self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _to_server(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._server.is_closed():
            self._server.call_soon_threadsafe(call, *arguments)

    def _to_engine(self, call: Callable[..., None], *arguments: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # its loop is closed
            return False
        return True


def _deliver(batch: list[tuple[Replies, Told]]) -> None:
    for replies, told in batch:
        replies.tell(told)


class _Carried:
    """One reply on its way, in the engine's thread."""

    task: asyncio.Task[None]

    def __init__(self, order: Order, post: Callable[[Event], None]) -> None:
        self._order, self._post = order, post
        self._control: Control | None = None
        self._asked = False
        self._answered: float | None = None
        self._next = 0.0
        self.due = 0.0

    async def run(self, engine: Engine) -> None:
        """From the order to its end; every failure becomes an event."""
        try:
            session = await engine.open(self._order.prompt, self._order.sampling)
            try:
                self._post(await self._drive(engine, session))
            finally:
                await session.close()
        except Z1Error as error:
            self._post(Broke(error))
        except asyncio.CancelledError:
            self._post(Broke(EngineFault("the reply was given up")))
        except Exception as error:  # an engine's code is not ours: whatever it raises is its fault
            self._post(Broke(EngineFault(f"the engine failed: {error!r}")))

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
        return first and self._order.budget.thinks and self._order.budget.thinking != 0

    async def _drive(self, engine: Engine, session: Session) -> Ended:
        order, profile = self._order, chat.profile(engine.profile)
        made, total = window(engine.tokenizer, profile, order.budget, session.room)
        made = replace(made, stops=order.sampling.stops)
        detector = chat.detector(engine.tokenizer, profile) if order.budget.thinks else None
        strings = chat.stop_strings(engine.tokenizer, order.stop)
        flow = Flow(made, total, detects=detector is not None, strings=strings)
        self._post(Begun(made, total))
        self._control = Control(flow, session)
        if self._asked:
            self._control.answer_now()
        left = order.budget.deadline
        if left is not None:
            left = max(0.0, left - (time.monotonic() - order.arrived))
        leave = exits(order.policy, engine, self._post)
        await drive(flow, session, Drive(detector, None, left, self._listen, leave), self._control)
        ended = flow.end or End.ABORTED
        return Ended(flow.ledger(), flow.shifted, ended, self._answered, time.monotonic() - order.arrived)

    def _listen(self, bucket: Bucket, ids: tuple[int, ...]) -> None:
        self.due = self._next
        if bucket is Bucket.ANSWER and self._answered is None:
            self._answered = time.monotonic() - self._order.arrived
        self._post(Came(bucket, ids))
