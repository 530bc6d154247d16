"""What will a sweep cost, and what could it show, before hours are spent?

A thought costs at most the room of the context, since thinking is free at the end of the ladder, once; every window
that may end a thought costs a hint and at most an answer. Where each window thinks apart, each pays its own thought.
All of it as often as a problem is asked. Those are bounds and not guesses. What a number of problems can show is
`compare.problems_needed`, turned round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from z1 import chat
from z1.engines import Sampling
from z1.errors import UserError
from z1.evaluate.statistics import Z
from z1.evaluate.sweep import Sweep
from z1.records import Problem


@dataclass(frozen=True, slots=True)
class Plan:
    """Most ids that a sweep samples or forces, in all, and what it can show."""

    problems: int
    samples: int
    windows: int
    thought: int
    """Of thoughts: each once, or once a window where windows think apart."""
    forced: int
    """Of hints."""
    answers: int
    """Of answers: one for each window, and the free one."""
    visible: float
    """The smallest difference between two windows that these problems show at 95 % in most runs, as a share."""

    def __str__(self) -> str:
        total = self.thought + self.forced + self.answers
        often = f", {self.samples} times each" if self.samples > 1 else ""
        return (
            f"{self.problems} problems under {self.windows} windows{often}: at most {total:,} ids "
            f"({self.thought:,} of thought, {self.forced:,} forced, {self.answers:,} of answers); "
            f"differences under {100 * self.visible:.1f} points will not show"
        )


def plan(setting: Sweep, problems: int, room: int) -> Plan:
    """The plan of a sweep over `problems` problems whose contexts have `room` ids each."""
    profile, tokenizer = chat.profile(setting.engine.profile), setting.engine.tokenizer
    hints = sum(len(chat.hint_ids(tokenizer, profile, at_once=window == 0)) for window in set(setting.windows))
    capped = sorted(set(setting.windows))
    free = max(0, room - setting.answer)
    thought = free + (sum(min(window, free) for window in capped) if setting.apart else 0)
    often = problems * setting.samples
    return Plan(
        problems,
        setting.samples,
        len(capped) + 1,
        often * thought,
        often * hints,
        often * setting.answer * (len(capped) + 1),
        min(1.0, (Z + 0.84) * sqrt(0.25 / max(problems, 1))),
    )


def check(setting: Sweep, *, minimum: int = 0, deadline: float | None = None) -> None:
    """Refuse by name what one thought cannot answer for all windows. Raises UserError."""
    if setting.apart:
        return
    do = "let each window think for itself (apart = true in [evaluate]), at the price of a thought a window"
    if minimum:
        raise UserError(
            "a sweep with a least thinking", f"{minimum} ids", f"a thought would depend on the window; {do}"
        )
    if deadline is not None:
        raise UserError("a sweep with a deadline", f"{deadline} s", f"a thought would depend on the clock; {do}")
    if not setting.engine.capabilities.forks:
        raise UserError("a sweep", f"{setting.engine.name}, which cannot fork", do)


async def foresee(setting: Sweep, problems: Sequence[Problem]) -> Plan:
    """The plan for these problems, with the room that the first one's context has.

    Raises UserError as `check` does, and where the longest window does not fit into that room.
    """
    check(setting)
    profile, tokenizer = chat.profile(setting.engine.profile), setting.engine.tokenizer
    prompt = chat.prompt_ids(tokenizer, profile, setting.benchmark.messages(problems[0]))
    session = await setting.engine.open(prompt, Sampling(chat.stop_ids(tokenizer, profile)))
    try:
        room = session.room
    finally:
        await session.close()
    longest = max(setting.windows, default=0)
    fits = chat.window(tokenizer, profile, longest, setting.answer).allowance(room)
    if fits < longest:
        got, do = f"{longest} ids, where {fits} fit", "give a larger context in [evaluate], or a smaller window"
        raise UserError("the longest window", got, do)
    return plan(setting, len(problems), room)
