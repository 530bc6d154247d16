"""The driver: runs one `Flow` on one `Session` until the reply ends.

`run_flow` samples and forces what the flow asks for. Deadlines are kept here and nowhere deeper: a deadline interrupts
the session and shifts the flow. A `Control` lets another task do the same ("answer now"), and read the tokens of a
running sample without interrupting it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from z1.engines.cancellation import await_unless_cancelled
from z1.engines.early_exit import ExitRule, check_rules, tokens_to_next_check
from z1.engines.protocol import Session
from z1.errors import EngineFault
from z1.think import AnswerDetector, Bucket, Finished, Flow, Force, Shift

TokenCallback = Callable[[Bucket, tuple[int, ...]], None]


class Allowance(Protocol):
    """The thinking tokens that a reply takes, in parts, from an account that it shares with others."""

    @property
    def taken(self) -> int:
        """Tokens taken so far."""
        ...

    async def take(self, max_tokens: int) -> None:
        """Take 1 to `max_tokens` more; none if the account is used up. Waits while others may return some."""
        ...


class Control:
    """A handle on a running reply."""

    def __init__(self, flow: Flow, session: Session) -> None:
        self._flow, self._session = flow, session
        self._requested: Shift | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.poll: Callable[[], None] = _no_sample
        """Pass the tokens so far of the running sample to flow and callback, without ending it; `run_flow` sets it."""

    def answer_now(self, why: Shift = Shift.CONTROL) -> bool:
        """Request the answer. True if this changes anything; a second request does not."""
        if self._requested is not None or self._flow.shift_reason is not None or self._flow.end is not None:
            return False
        self._requested = why
        self._session.interrupt()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        return True

    async def take(self, allowance: Allowance, max_tokens: int) -> None:
        """Take up to `max_tokens` more tokens of `allowance`; take none if the answer is requested while it waits."""
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await await_unless_cancelled(self._waiting, allowance.take(max_tokens))
        finally:
            self._waiting = None

    @property
    def is_shift_requested(self) -> bool:
        """Whether the answer was requested."""
        return self._requested is not None

    def apply_shift(self) -> None:
        """Shift the flow if that was requested; the driver calls this between two steps."""
        if self._requested is not None:
            self._flow.shift(self._requested)


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """Options of `run_flow`; none changes the tokens before the thought ends.

    A sample has at most `max_chunk_tokens` (None: as many as the flow allows); the thought ends after `deadline`
    seconds. `on_tokens` gets the tokens of each bucket in order, once their bucket is final: after each step, and at
    each `Control.poll`.
    """

    detector: AnswerDetector | None = None
    max_chunk_tokens: int | None = None
    deadline: float | None = None
    on_tokens: TokenCallback | None = None
    exit_rules: tuple[ExitRule, ...] = ()
    """Rules that may end the thought early; each instance serves this reply only."""
    allowance: Allowance | None = None
    """The thought, and what is sampled until its end is known, has at most these tokens; then it shifts."""


async def run_flow(
    flow: Flow, session: Session, options: DriverOptions = DriverOptions(), control: Control | None = None
) -> Flow:
    """Run `flow` on `session` until it ends, and return it. Raises EngineFault; the flow keeps the tokens so far."""
    control = control or Control(flow, session)
    progress = _Progress(flow, session, options)
    control.poll = progress.poll
    timer = None
    if options.deadline is not None:
        timer = asyncio.get_running_loop().call_later(options.deadline, control.answer_now, Shift.DEADLINE)
    try:
        while True:
            control.apply_shift()
            step = flow.next_step()
            if isinstance(step, Finished):
                return flow
            if isinstance(step, Force):
                if flow.shift_reason is None and not await _allows_nudge(flow, options.allowance, control, step):
                    continue
                await session.append(step.token_ids)
                update_flow(flow, step.token_ids, options.detector)
                progress.report()
                continue
            rules = () if flow.is_answering else options.exit_rules
            to_check = tokens_to_next_check(rules, len(flow.token_ids)) or step.max_tokens
            max_tokens = min(step.max_tokens, options.max_chunk_tokens or step.max_tokens, to_check)
            if options.allowance is not None and not flow.is_answering:
                max_tokens = min(max_tokens, await _allowed_tokens(flow, options.allowance, control, step.max_tokens))
                if max_tokens == 0:
                    control.answer_now(Shift.SESSION)
                    continue
            sampled = await session.sample(max_tokens, step.forbidden, step.bias)
            progress.end_sample(sampled.token_ids)
            if not sampled.token_ids and not control.is_shift_requested:
                raise EngineFault("the engine ended a sample without a token")
            if rules and not control.is_shift_requested and (why := await check_rules(rules, flow, session)):
                flow.shift(why)
    finally:
        control.poll = _no_sample
        if timer is not None:
            timer.cancel()


async def _allowed_tokens(flow: Flow, allowance: Allowance, control: Control, max_tokens: int) -> int:
    """How many tokens the thought may sample now; 0 if it must end."""
    if allowance.taken <= len(flow.token_ids) and not control.is_shift_requested:
        await control.take(allowance, max_tokens)
    return 0 if control.is_shift_requested else allowance.taken - len(flow.token_ids)


async def _allows_nudge(flow: Flow, allowance: Allowance | None, control: Control, step: Force) -> bool:
    """Whether the tokens of a nudge are within the allowance; if not, the thought ends."""
    if allowance is None:
        return True
    while allowance.taken < len(flow.token_ids) + len(step.token_ids):
        before = allowance.taken
        await control.take(allowance, len(flow.token_ids) + len(step.token_ids) - before)
        if allowance.taken == before:
            control.answer_now(Shift.SESSION)
            return False
    return not control.is_shift_requested


def update_flow(flow: Flow, token_ids: tuple[int, ...], detector: AnswerDetector | None) -> None:
    """Add sampled or forced tokens to `flow`, with what `detector` finds in them."""
    flow.add_tokens(token_ids)
    if detector is None:
        return
    if (answer_start := detector.feed(token_ids)) is not None:
        flow.start_answer(answer_start)
    else:
        flow.set_undecided_tokens(detector.undecided_tokens)


class _Progress:
    """Passes every sampled token once to flow and callback, during its sample or at the end of it."""

    def __init__(self, flow: Flow, session: Session, options: DriverOptions) -> None:
        self._flow, self._session, self._options = flow, session, options
        self._taken = 0
        self._reported = 0

    def poll(self) -> None:
        """Take the tokens so far of the running sample, and interrupt it if they end the reply."""
        self._take(tuple(self._session.pending_token_ids[self._taken :]))
        if self._flow.end is not None:
            self._session.interrupt()

    def end_sample(self, token_ids: tuple[int, ...]) -> None:
        """A sample has ended, with these tokens in total."""
        self._take(token_ids[self._taken :])
        self._taken = 0

    def report(self) -> None:
        """Pass to the callback every token whose bucket is final and that it did not get yet."""
        if self._options.on_tokens is None:
            return
        final = len(self._flow.token_ids) - self._flow.undecided_tokens
        if final <= self._reported:
            return
        for span in self._flow.spans():
            first, last = max(span.start, self._reported), min(span.end, final)
            if first < last:
                self._options.on_tokens(span.bucket, tuple(self._flow.token_ids[first:last]))
        self._reported = final

    def _take(self, token_ids: tuple[int, ...]) -> None:
        if token_ids and self._flow.end is None:  # tokens after a stop string are dropped
            self._taken += len(token_ids)
            update_flow(self._flow, token_ids, self._options.detector)
            self.report()


def _no_sample() -> None:
    """No sample is running."""
