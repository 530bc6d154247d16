"""Early-exit rules, which end a thought before its budget is used.

A rule is checked every `interval` thinking tokens. The interval is counted in tokens and not in samples, so a reply
does not depend on how its tokens were chunked. `RepetitionExit` ends a thought that repeats itself. `AgreementExit`
probes: it asks a fork of the session for its answer, and ends the thought when the same answer came `min_agreeing`
times in a row (Dynasor, arXiv 2412.20993, does so with a new request a probe). The ledger counts the tokens of forks as
probe.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from z1.engines.protocol import Session
from z1.errors import EngineFault, UserError
from z1.think import End, Flow, Force, Sample, Shift
from z1.think.repetition import CHECK_INTERVAL, has_loop


class ExitRule(Protocol):
    """A rule that may end a thought; one instance a reply."""

    @property
    def interval(self) -> int:
        """Thinking tokens between two checks."""
        ...

    async def check(self, flow: Flow, session: Session) -> Shift | None:
        """Why the thought should end now; None to continue."""
        ...


@dataclass(frozen=True, slots=True)
class RepetitionExit:
    """Ends a thought that repeats itself."""

    interval: int = CHECK_INTERVAL

    async def check(self, flow: Flow, session: Session) -> Shift | None:
        """`Shift.REPETITION` if the tokens so far end in a loop."""
        return Shift.REPETITION if has_loop(flow.token_ids) else None


@dataclass(frozen=True, slots=True)
class Probe:
    """A probed answer after `thinking_tokens`: `token_ids` from the hint on; `agreeing` equal answers in a row."""

    thinking_tokens: int
    token_ids: tuple[int, ...]
    agreeing: int


@dataclass(slots=True)
class AgreementExit:
    """Ends a thought when `min_agreeing` probes in a row give the same answer; a probe every `interval` tokens.

    A probe uses the reply's own hint and at most `max_answer_tokens`. `parse_answer` reads the answer from the token
    ids from the hint on, "" if there is none; `on_probe` gets every probe. A probe that fails in the engine does not
    count.
    """

    interval: int
    min_agreeing: int
    max_answer_tokens: int
    parse_answer: Callable[[Sequence[int]], Hashable]
    on_probe: Callable[[Probe], None] | None = None
    _last: Hashable = ""
    _agreeing: int = 0

    def __post_init__(self) -> None:
        for name in ("interval", "min_agreeing", "max_answer_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"agreement exit: {name}", getattr(self, name), "give 1 or more")

    async def check(self, flow: Flow, session: Session) -> Shift | None:
        """`Shift.CONVERGED` if the last `min_agreeing` probes agree."""
        try:
            token_ids = await self._probe(flow, session)
        except EngineFault:
            return None
        answer = self.parse_answer(token_ids)
        self._agreeing = 0 if answer == "" else self._agreeing + 1 if answer == self._last else 1
        self._last = answer
        if self.on_probe is not None:
            self.on_probe(Probe(len(flow.token_ids), token_ids, self._agreeing))
        return Shift.CONVERGED if self._agreeing >= self.min_agreeing else None

    async def _probe(self, flow: Flow, session: Session) -> tuple[int, ...]:
        """The tokens of a fork from its hint on, without what closes the thought and without its stop token. They are
        counted even if the fork fails.
        """
        hint = flow.forced_hint()
        window = replace(
            flow.window,
            thinking_budget=0,
            max_answer_tokens=min(self.max_answer_tokens, flow.window.max_answer_tokens),
            hint=hint,
            min_thinking_tokens=0,
            closing=None,
        )
        fork = await session.fork()
        probe = Flow(window, fork.free_tokens)
        try:
            await _run(probe, fork)
        finally:
            flow.add_probe_tokens(len(probe.token_ids))
            await fork.close()
        closing = max(0, len(hint) - len(flow.window.hint))
        return tuple(probe.token_ids[closing : len(probe.token_ids) - (probe.end is End.STOP)])


async def _run(flow: Flow, session: Session) -> None:
    """Run `flow` until it ends, without control or callback."""
    while flow.end is None:
        step = flow.next_step()
        if isinstance(step, Force):
            await session.append(step.token_ids)
            flow.add_tokens(step.token_ids)
        elif isinstance(step, Sample):
            flow.add_tokens((await session.sample(step.max_tokens)).token_ids)


def tokens_to_next_check(rules: Sequence[ExitRule], thinking_tokens: int) -> int | None:
    """Tokens from `thinking_tokens` to the next check of one of `rules`; None without rules."""
    return min((rule.interval - thinking_tokens % rule.interval for rule in rules), default=None)


async def check_rules(rules: Sequence[ExitRule], flow: Flow, session: Session) -> Shift | None:
    """The result of the first rule that is due and ends the thought; none is due before the thought's minimum."""
    thinking_tokens = len(flow.token_ids)
    if flow.end is not None or flow.shift_reason is not None:
        return None
    if thinking_tokens < max(1, flow.window.min_thinking_tokens):
        return None
    for rule in rules:
        if thinking_tokens % rule.interval == 0 and (why := await rule.check(flow, session)) is not None:
            return why
    return None
