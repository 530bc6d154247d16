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
from z1.grading.equivalence import answer_parts, canonical_answer
from z1.serve.api.policy import NONE
from z1.serve.runtime.reply_runner import Failed, GenerationRequest, NewTokens, ReplyFinished, ReplyRunner
from z1.think import Bucket, End

KEPT = 64
"""Replies that wait for room; of more, the oldest are forgotten."""

PATIENCE = 0.05
"""Seconds between two looks for room."""

Outcome = Literal["whole", "same", "changed", "missing", "forgotten"]


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """One reply under one shadow window, in ids.

    `whole`: the thought had ended before the window. Else the forced answer said the same as the reply, or something
    else, or could not be had; `saved` ids of `thinking_tokens` would not have been thought, and `paid` were sampled to
    know it. `forgotten`: too many waited for room, and it was not followed.
    """

    thinking_budget: int
    outcome: Outcome
    thinking_tokens: int
    saved: int
    paid: int


@dataclass(frozen=True, slots=True)
class _ShadowReply:
    name: str
    order: GenerationRequest
    came: Sequence[NewTokens]


class Shadow:
    """Follows replies that have ended. `free` says whether there is room, `tell` hears what was seen of each.

    `piece` gives the bytes of an id.
    """

    def __init__(
        self,
        windows: Sequence[int],
        room: ReplyRunner,
        piece: Callable[[int], bytes],
        free: Callable[[], bool],
        tell: Callable[[str, ShadowResult], None],
    ) -> None:
        if wrong := [window for window in windows if window < 1]:
            raise UserError("shadow window", wrong[0], "give 1 or more")
        self._windows, self._room, self._piece, self._free, self._tell = windows, room, piece, free, tell
        self._waiting: deque[_ShadowReply] = deque()
        self._work = asyncio.Event()

    def ended(self, name: str, order: GenerationRequest, came: Sequence[NewTokens], end: End) -> None:
        """A reply called `name` has ended; if there was a thought in it, it is followed."""
        if self._windows and order.budget.thinks and order.budget.thinking_budget != 0 and end is not End.ABORTED:
            self._waiting.append(_ShadowReply(name, order, came))
            if len(self._waiting) > KEPT:
                oldest = self._waiting.popleft()
                for window in self._windows:
                    self._tell(oldest.name, ShadowResult(window, "forgotten", len(_thought(oldest)), 0, 0))
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

    async def _follow(self, reply: _ShadowReply) -> None:
        thought = _thought(reply)
        full = await asyncio.to_thread(self._says, reply.came)
        for window in self._windows:
            if len(thought) <= window:
                self._tell(reply.name, ShadowResult(window, "whole", len(thought), 0, 0))
                continue
            forced, paid = await self._forced(reply.order, tuple(thought[:window]))
            same = None if forced is None else await asyncio.to_thread(self._says, forced) == full
            outcome: Outcome = "missing" if same is None else "same" if same else "changed"
            saved = 0 if same is None else len(thought) - window
            self._tell(reply.name, ShadowResult(window, outcome, len(thought), saved, paid))

    async def _forced(self, order: GenerationRequest, thought: tuple[int, ...]) -> tuple[list[NewTokens] | None, int]:
        """What is said where the thought is cut there, None where it cannot be known; and the ids that were sampled."""
        budget = replace(order.budget, thinking_budget=len(thought), deadline=None, min_thinking_tokens=0)
        short = replace(
            order, budget=budget, policy=NONE, sampling=replace(order.sampling, logprobs=None), prefix_token_ids=thought
        )
        replies = self._room.place([short])
        came: list[NewTokens] = []
        try:
            while True:
                for _, event in await replies.events():
                    if isinstance(event, NewTokens):
                        came.append(event)
                    elif isinstance(event, ReplyFinished):
                        return came, event.ledger.completion_tokens - event.ledger.hint - len(thought)
                    elif isinstance(event, Failed):
                        return None, 0
        finally:
            replies.cancel()

    def _says(self, came: Sequence[NewTokens]) -> str:
        parts = answer_parts((event.bucket, b"".join(map(self._piece, event.token_ids))) for event in came)
        return canonical_answer(b"".join(parts).decode("utf-8", "replace"))


def _thought(reply: _ShadowReply) -> list[int]:
    return [token for event in reply.came if event.bucket is Bucket.THOUGHT for token in event.token_ids]
