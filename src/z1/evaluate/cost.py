"""An upper bound on the tokens of a sweep before it starts, and the smallest difference that it can show.

A thought costs at most the free tokens of the context, once, since thinking is unlimited at the end of the sweep; each
budget that may end a thought costs a hint and at most an answer. With separate runs every budget pays its own thought.
All of it is multiplied by the samples per problem. These are bounds, not estimates. The smallest difference is
`paired.problems_needed`, inverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from z1 import profiles
from z1.engines import Sampling
from z1.errors import UserError
from z1.evaluate.intervals import Z
from z1.evaluate.sweep import Sweep, make_window
from z1.prompts import prompt_token_ids
from z1.records import Problem


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The maximum tokens that a sweep samples or forces, and the smallest difference that it can show."""

    problems: int
    samples: int
    thinking_budgets: int
    thinking_tokens: int
    """Tokens of thoughts: each once, or once per budget with separate runs."""
    forced_tokens: int
    """Tokens of hints, and of what closes a thought before them."""
    answer_tokens: int
    """Tokens of answers: one for each budget, and the one without a budget."""
    smallest_difference: float
    """The smallest difference between two budgets that these problems show at 95 % with 80 % power, as a share."""

    def __str__(self) -> str:
        total = self.thinking_tokens + self.forced_tokens + self.answer_tokens
        samples = f", {self.samples} samples each" if self.samples > 1 else ""
        return (
            f"{self.problems} problems at {self.thinking_budgets} budgets{samples}: at most {total:,} tokens "
            f"({self.thinking_tokens:,} thinking, {self.forced_tokens:,} forced, {self.answer_tokens:,} answers); "
            f"differences below {100 * self.smallest_difference:.1f} points will not show"
        )


def cost_bound(sweep: Sweep, problems: int, free_tokens: int) -> CostEstimate:
    """The cost of a sweep over `problems` problems whose contexts have `free_tokens` each."""
    hints = sum(make_window(sweep, budget).max_hint_tokens for budget in set(sweep.thinking_budgets))
    capped = sorted(set(sweep.thinking_budgets))
    free = max(0, free_tokens - sweep.max_answer_tokens)
    thought = free + (sum(min(budget, free) for budget in capped) if sweep.separate_runs else 0)
    replies = problems * sweep.samples
    return CostEstimate(
        problems,
        sweep.samples,
        len(capped) + 1,
        replies * thought,
        replies * hints,
        replies * sweep.max_answer_tokens * (len(capped) + 1),
        min(1.0, (Z + 0.84) * sqrt(0.25 / max(problems, 1))),
    )


def check_sweep(sweep: Sweep, *, min_thinking_tokens: int = 0, deadline: float | None = None) -> None:
    """Raises UserError for settings that one shared thought cannot answer at all budgets."""
    if sweep.separate_runs:
        return
    do = "set separate_runs = true in [evaluate], which costs one thought per budget"
    if min_thinking_tokens:
        got = f"{min_thinking_tokens} tokens"
        raise UserError("a sweep with min_thinking_tokens", got, f"the thought would depend on the budget; {do}")
    if deadline is not None:
        raise UserError("a sweep with a deadline", f"{deadline} s", f"the thought would depend on the clock; {do}")
    for name in ("max_nudges", "soft_tokens", "grace_tokens"):
        if value := getattr(sweep.steering, name):
            raise UserError(f"a sweep with {name}", value, f"the thought would depend on the budget; {do}")
    if not sweep.engine.capabilities.can_fork:
        raise UserError("a sweep", f"{sweep.engine.name}, which cannot fork", do)


async def estimate_cost(sweep: Sweep, problems: Sequence[Problem]) -> CostEstimate:
    """The cost for these problems, from the free tokens of the first one's context.

    Raises UserError as `check_sweep` does, if no prompt fits into the context, and if the largest budget does not.
    """
    check_sweep(sweep)
    free_tokens = await _free_tokens(sweep, problems)
    longest = max(sweep.thinking_budgets, default=0)
    fits = make_window(sweep, longest).effective_budget(free_tokens)
    if fits < longest:
        got, do = f"{longest} tokens, but {fits} fit", "set a larger max_model_len in [evaluate], or a smaller budget"
        raise UserError("the largest thinking budget", got, do)
    return cost_bound(sweep, len(problems), free_tokens)


async def _free_tokens(sweep: Sweep, problems: Sequence[Problem]) -> int:
    """The free tokens after the first prompt that fits; one that does not is a missing attempt of the sweep."""
    profile, tokenizer = profiles.get_profile(sweep.engine.profile), sweep.engine.tokenizer
    sampling = Sampling(profiles.stop_token_ids(tokenizer, profile))
    for problem in problems:
        try:
            prompt = prompt_token_ids(tokenizer, profile, sweep.benchmark.messages(problem))
            session = await sweep.engine.open(prompt, sampling)
        except UserError:
            if problem is problems[-1]:
                raise
            continue
        free_tokens = session.free_tokens
        await session.close()
        return free_tokens
    raise UserError("problems to evaluate", "none", "set problems to 1 or more")
