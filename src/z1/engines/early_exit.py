"""Has this thought gone on long enough, by what it says?

An exit is asked at every so many ids of thought, and may end the thought. The borders are counted in ids and not in
messages, so that a reply does not depend on how its ids were cut into samples. `RepetitionExit` asks whether the
thought goes round; `Convergence` asks a fork of the session for its answer there and then, and is content when the same
answer came `stable` times in a row (Dynasor, arXiv 2412.20993, does so with a new request a probe). What a fork costs
stands in the ledger as probe ids.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from z1.engines.protocol import Session
from z1.errors import EngineFault, UserError
from z1.think import End, Flow, Force, Sample, Shift
from z1.think.repetition import loops


class ExitRule(Protocol):
    """Something that may end a thought; one for each reply."""

    @property
    def every(self) -> int:
        """Ids of thought between two questions."""
        ...

    async def ask(self, flow: Flow, session: Session) -> Shift | None:
        """Why the thought should end now; None lets it go on."""
        ...


@dataclass(frozen=True, slots=True)
class RepetitionExit:
    """Ends a thought that repeats itself."""

    every: int = 32

    async def ask(self, flow: Flow, session: Session) -> Shift | None:
        """`Shift.REPETITION` where the ids so far end in a loop."""
        return Shift.REPETITION if loops(flow.token_ids) else None


@dataclass(frozen=True, slots=True)
class Probe:
    """A probed answer after `at` tokens of thought: `token_ids` from the hint on; `equal` of the same in a row."""

    at: int
    token_ids: tuple[int, ...]
    equal: int


@dataclass(slots=True)
class Convergence:
    """Ends a thought whose answer stays the same for `stable` probes, `every` so many ids of thought.

    A probe has the reply's own hint and at most `answer` ids of answer. `said` says what ids from the hint on say, ""
    where nothing; `tell` hears of every probe. A probe that the engine fails is no vote.
    """

    every: int
    stable: int
    answer: int
    said: Callable[[Sequence[int]], Hashable]
    tell: Callable[[Probe], None] | None = None
    _last: Hashable = ""
    _equal: int = 0

    def __post_init__(self) -> None:
        for name in ("every", "stable", "answer"):
            if getattr(self, name) < 1:
                raise UserError(f"convergence: {name}", getattr(self, name), "give 1 or more")

    async def ask(self, flow: Flow, session: Session) -> Shift | None:
        """`Shift.CONVERGED` where the last `stable` probes agree."""
        try:
            ids = await self._answer_of(flow, session)
        except EngineFault:
            return None
        answer = self.said(ids)
        self._equal = 0 if answer == "" else self._equal + 1 if answer == self._last else 1
        self._last = answer
        if self.tell is not None:
            self.tell(Probe(len(flow.token_ids), ids, self._equal))
        return Shift.CONVERGED if self._equal >= self.stable else None

    async def _answer_of(self, flow: Flow, session: Session) -> tuple[int, ...]:
        """What a fork says from its hint on, without its stop id; it is paid for, whether it ends well or not."""
        tail = flow.token_ids[-len(flow.window.hint) :] if flow.window.hint else []  # what of the hint has been said
        window = replace(
            flow.window,
            min_thinking_tokens=0,
            thinking_budget=len(tail),
            max_answer_tokens=min(self.answer, flow.window.max_answer_tokens),
        )
        fork = await session.fork()
        probe = Flow(window, fork.free_tokens + len(tail))
        try:
            for token in tail:
                probe.came((token,))
            await _finish(probe, fork)
        finally:
            flow.probed(len(probe.token_ids) - len(tail))
            await fork.close()
        stop = probe.end is End.STOP
        return tuple(probe.token_ids[len(tail) : len(probe.token_ids) - stop])


async def _finish(flow: Flow, session: Session) -> None:
    """Drive the rest of a reply that nobody watches."""
    while flow.end is None:
        step = flow.next()
        if isinstance(step, Force):
            await session.append(step.token_ids)
            flow.came(step.token_ids)
        elif isinstance(step, Sample):
            flow.came((await session.sample(step.limit)).token_ids)


def border(exits: Sequence[ExitRule], thought: int) -> int | None:
    """Ids from `thought` ids of thought to where the next of `exits` is asked; None where there is none."""
    return min((exit_.every - thought % exit_.every for exit_ in exits), default=None)


async def asked(exits: Sequence[ExitRule], flow: Flow, session: Session) -> Shift | None:
    """What the first of `exits` that is due here and ends the thought says; none is, before the thought's minimum."""
    if (
        flow.end is not None
        or flow.shifted is not None
        or len(flow.token_ids) < max(1, flow.window.min_thinking_tokens)
    ):
        return None
    for exit_ in exits:
        if len(flow.token_ids) % exit_.every == 0 and (why := await exit_.ask(flow, session)) is not None:
            return why
    return None
