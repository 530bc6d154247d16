"""Who carries the messages between a window and a session?

`drive` joins one `Flow` to one `Session` and returns when the reply has ended. The clock lives here and nowhere deeper:
a deadline interrupts the session and shifts the flow. `Control` lets somebody else do the same ("answer now"), and
look at a sample that is under way, which costs the engine nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from z1.engines.early_exit import ExitRule, asked, border
from z1.engines.protocol import Session
from z1.errors import EngineFault
from z1.think import AnswerDetector, Bucket, Finished, Flow, Force, Shift

Listener = Callable[[Bucket, tuple[int, ...]], None]


class Control:
    """A handle on a reply that is under way."""

    def __init__(self, flow: Flow, session: Session) -> None:
        self._flow, self._session = flow, session
        self._wanted: Shift | None = None
        self.look: Callable[[], None] = _nothing
        """Tell flow and listener what came so far of the sample under way, without ending it; `drive` sets it."""

    def answer_now(self, why: Shift = Shift.CONTROL) -> bool:
        """Ask for the answer. True if that will change anything; asking twice is the same as asking once."""
        if self._wanted is not None or self._flow.shifted is not None or self._flow.end is not None:
            return False
        self._wanted = why
        self._session.interrupt()
        return True

    @property
    def asked(self) -> bool:
        """Whether the answer has been asked for."""
        return self._wanted is not None

    def obey(self) -> None:
        """Carry out what was asked for; the driver calls this between two messages."""
        if self._wanted is not None:
            self._flow.shift(self._wanted)


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """How a reply is driven: by at most `chunk` ids a message (None: as many as the flow allows), until `deadline`
    seconds.

    `listen` is told the ids of each bucket in order, as soon as their bucket is sure: after each message, and at each
    `Control.look`. None of these changes the ids.
    """

    detector: AnswerDetector | None = None
    chunk: int | None = None
    deadline: float | None = None
    listen: Listener | None = None
    exits: tuple[ExitRule, ...] = ()
    """What may end the thought early, one of each for this reply alone."""


async def drive(
    flow: Flow, session: Session, how: DriverOptions = DriverOptions(), control: Control | None = None
) -> Flow:
    """Run `flow` on `session` to its end, and return it. Raises EngineFault; what came before stands in the flow."""
    control = control or Control(flow, session)
    teller = _Progress(flow, session, how)
    control.look = teller.look
    timer = None
    if how.deadline is not None:
        timer = asyncio.get_running_loop().call_later(how.deadline, control.answer_now, Shift.DEADLINE)
    try:
        while True:
            control.obey()
            step = flow.next()
            if isinstance(step, Finished):
                return flow
            if isinstance(step, Force):
                await session.append(step.token_ids)
                flow.came(step.token_ids)
                teller.listen()
            else:
                exits = () if flow.answering else how.exits
                limit = min(step.limit, how.chunk or step.limit, border(exits, len(flow.token_ids)) or step.limit)
                sampled = await session.sample(limit, step.forbidden)
                teller.whole(sampled.token_ids)
                if not sampled.token_ids and not control.asked:
                    raise EngineFault("the engine ended a sample without an id")
                if exits and not control.asked and (why := await asked(exits, flow, session)) is not None:
                    control.answer_now(why)
    finally:
        control.look = _nothing
        if timer is not None:
            timer.cancel()


def tell(flow: Flow, ids: tuple[int, ...], detector: AnswerDetector | None) -> None:
    """Tell `flow` the ids of a sample, and what `detector` makes of them."""
    flow.came(ids)
    if detector is None:
        return
    if (begins := detector.feed(ids)) is not None:
        flow.answer_at(begins)
    else:
        flow.undecided(detector.undecided)


class _Progress:
    """Tells flow and listener every id once, whether it is seen in the middle of a sample or at its end."""

    def __init__(self, flow: Flow, session: Session, how: DriverOptions) -> None:
        self._flow, self._session, self._how = flow, session, how
        self._taken = 0
        self._told = 0

    def look(self) -> None:
        """What came so far of the sample under way. A reply that this ends needs no more of it."""
        self._take(tuple(self._session.pending_token_ids[self._taken :]))
        if self._flow.end is not None:
            self._session.interrupt()

    def whole(self, ids: tuple[int, ...]) -> None:
        """A sample has ended, with these ids in all."""
        self._take(ids[self._taken :])
        self._taken = 0

    def listen(self) -> None:
        """Tell the listener every id whose bucket is sure and that it was not told yet."""
        if self._how.listen is None:
            return
        sure = len(self._flow.token_ids) - self._flow.unsure
        if sure <= self._told:
            return
        for span in self._flow.spans():
            first, last = max(span.start, self._told), min(span.end, sure)
            if first < last:
                self._how.listen(span.bucket, tuple(self._flow.token_ids[first:last]))
        self._told = sure

    def _take(self, ids: tuple[int, ...]) -> None:
        if ids and self._flow.end is None:  # what was sampled behind a stop string is dropped
            self._taken += len(ids)
            tell(self._flow, ids, self._how.detector)
            self.listen()


def _nothing() -> None:
    """There is no sample to look at."""
