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

from z1 import profiles
from z1.engines import Sampling
from z1.errors import UserError
from z1.evaluate.intervals import Z
from z1.evaluate.sweep import Sweep
from z1.records import Problem


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Most ids that a sweep samples or forces, in all, and what it can show."""

    problems: int
    samples: int
    thinking_budgets: int
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
            f"{self.problems} problems under {self.thinking_budgets} windows{often}: at most {total:,} ids "
            f"({self.thought:,} of thought, {self.forced:,} forced, {self.answers:,} of answers); "
            f"differences under {100 * self.visible:.1f} points will not show"
        )


def plan(setting: Sweep, problems: int, room: int) -> CostEstimate:
    """The plan of a sweep over `problems` problems whose contexts have `room` ids each."""
    profile, tokenizer = profiles.profile(setting.engine.profile), setting.engine.tokenizer
    hints = sum(
        len(profiles.hint_ids(tokenizer, profile, at_once=window == 0)) for window in set(setting.thinking_budgets)
    )
    capped = sorted(set(setting.thinking_budgets))
    free = max(0, room - setting.max_answer_tokens)
    thought = free + (sum(min(window, free) for window in capped) if setting.separate_runs else 0)
    often = problems * setting.samples
    return CostEstimate(
        problems,
        setting.samples,
        len(capped) + 1,
        often * thought,
        often * hints,
        often * setting.max_answer_tokens * (len(capped) + 1),
        min(1.0, (Z + 0.84) * sqrt(0.25 / max(problems, 1))),
    )


def check(setting: Sweep, *, minimum: int = 0, deadline: float | None = None) -> None:
    """Refuse by name what one thought cannot answer for all windows. Raises UserError."""
    if setting.separate_runs:
        return
    do = "let each window think for itself (apart = true in [evaluate]), at the price of a thought a window"
    if minimum:
        raise UserError(
            "a sweep with a least thinking", f"{minimum} ids", f"a thought would depend on the window; {do}"
        )
    if deadline is not None:
        raise UserError("a sweep with a deadline", f"{deadline} s", f"a thought would depend on the clock; {do}")
    if not setting.engine.capabilities.can_fork:
        raise UserError("a sweep", f"{setting.engine.name}, which cannot fork", do)


async def estimate_cost(setting: Sweep, problems: Sequence[Problem]) -> CostEstimate:
    """The plan for these problems, with the room that the first one's context has.

    Raises UserError as `check` does, and where the longest window does not fit into that room.
    """
    check(setting)
    profile, tokenizer = profiles.profile(setting.engine.profile), setting.engine.tokenizer
    prompt = profiles.prompt_ids(tokenizer, profile, setting.benchmark.messages(problems[0]))
    session = await setting.engine.open(prompt, Sampling(profiles.stop_ids(tokenizer, profile)))
    try:
        room = session.free_tokens
    finally:
        await session.close()
    longest = max(setting.thinking_budgets, default=0)
    fits = profiles.window(tokenizer, profile, longest, setting.max_answer_tokens).effective_budget(room)
    if fits < longest:
        got, do = f"{longest} ids, where {fits} fit", "give a larger context in [evaluate], or a smaller window"
        raise UserError("the longest window", got, do)
    return plan(setting, len(problems), room)
