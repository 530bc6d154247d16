"""What would a shorter window have made of the thoughts that this server sees?

Each reply is answered as it was asked for. Then, where room is free, its thought is cut at every shadow window and the
answer forced there, by the engine and with the settings of the reply: what `z1 evaluate --replay` does with recorded
requests, on live ones. Whether the answer would have said the same is read as there (`grading/agree.py`). Counts go to
the metrics and the log, and no text.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from z1.errors import UserError
from z1.grading.agree import answering, said
from z1.serve.policy import NONE
from z1.serve.room import Broke, Came, Ended, Order, Room
from z1.think import Bucket, End

KEPT = 64
"""Replies that wait for room; of more, the oldest are forgotten."""

PATIENCE = 0.05
"""Seconds between two looks for room."""

Outcome = Literal["whole", "same", "changed", "missing", "forgotten"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One reply under one shadow window, in ids.

    `whole`: the thought had ended before the window. Else the forced answer said the same as the reply, or something
    else, or could not be had; `saved` ids of `thought` would not have been thought, and `paid` were sampled to know it.
    `forgotten`: too many waited for room, and it was not followed.
    """

    window: int
    outcome: Outcome
    thought: int
    saved: int
    paid: int


@dataclass(frozen=True, slots=True)
class _Reply:
    name: str
    order: Order
    came: Sequence[Came]


class Shadow:
    """Follows replies that have ended. `free` says whether there is room, `tell` hears what was seen of each.

    `piece` gives the bytes of an id.
    """

    def __init__(
        self,
        windows: Sequence[int],
        room: Room,
        piece: Callable[[int], bytes],
        free: Callable[[], bool],
        tell: Callable[[str, Seen], None],
    ) -> None:
        if wrong := [window for window in windows if window < 1]:
            raise UserError("shadow window", wrong[0], "give 1 or more")
        self._windows, self._room, self._piece, self._free, self._tell = windows, room, piece, free, tell
        self._waiting: deque[_Reply] = deque()
        self._work = asyncio.Event()

    def ended(self, name: str, order: Order, came: Sequence[Came], end: End) -> None:
        """A reply called `name` has ended; if there was a thought in it, it is followed."""
        if self._windows and order.budget.thinks and order.budget.thinking != 0 and end is not End.ABORTED:
            self._waiting.append(_Reply(name, order, came))
            if len(self._waiting) > KEPT:
                oldest = self._waiting.popleft()
                for window in self._windows:
                    self._tell(oldest.name, Seen(window, "forgotten", len(_thought(oldest)), 0, 0))
            self._work.set()

    async def run(self) -> None:
        """Follow one reply after the other, for ever."""
        while True:
            await self._work.wait()
            while self._waiting:
                while not self._free():
                    await asyncio.sleep(PATIENCE)
                await self._follow(self._waiting.popleft())
            self._work.clear()

    async def _follow(self, reply: _Reply) -> None:
        thought = _thought(reply)
        full = await asyncio.to_thread(self._says, reply.came)
        for window in self._windows:
            if len(thought) <= window:
                self._tell(reply.name, Seen(window, "whole", len(thought), 0, 0))
                continue
            forced, paid = await self._forced(reply.order, tuple(thought[:window]))
            same = None if forced is None else await asyncio.to_thread(self._says, forced) == full
            outcome: Outcome = "missing" if same is None else "same" if same else "changed"
            saved = 0 if same is None else len(thought) - window
            self._tell(reply.name, Seen(window, outcome, len(thought), saved, paid))

    async def _forced(self, order: Order, thought: tuple[int, ...]) -> tuple[list[Came] | None, int]:
        """What is said where the thought is cut there, None where it cannot be known; and the ids that were sampled."""
        budget = replace(order.budget, thinking=len(thought), deadline=None, least=0)
        short = replace(
            order, budget=budget, policy=NONE, sampling=replace(order.sampling, logprobs=None), begun=thought
        )
        replies = self._room.place([short])
        came: list[Came] = []
        try:
            while True:
                for _, event in await replies.events():
                    if isinstance(event, Came):
                        came.append(event)
                    elif isinstance(event, Ended):
                        return came, event.ledger.completion_tokens - event.ledger.hint - len(thought)
                    elif isinstance(event, Broke):
                        return None, 0
        finally:
            replies.cancel()

    def _says(self, came: Sequence[Came]) -> str:
        parts = answering((event.bucket, b"".join(map(self._piece, event.ids))) for event in came)
        return said(b"".join(parts).decode("utf-8", "replace"))


def _thought(reply: _Reply) -> list[int]:
    return [token for event in reply.came if event.bucket is Bucket.THOUGHT for token in event.ids]
