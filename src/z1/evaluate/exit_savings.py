"""What early exit by convergence would have saved, read off a finished sweep.

A sweep contains every probe: the answer forced at each budget is the answer that a probe there would have given
(`engines/early_exit.py`, under greedy decoding). So whether k equal answers in a row end a thought too early is read
off problem by problem and compared with unlimited thinking; probes are counted with their cost. Nothing is probed after
the largest budget of the sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.paired import bootstrap
from z1.grading import Verdict
from z1.grading.equivalence import canonical_answer
from z1.records import Attempt, Interval
from z1.think import Bucket, Shift


@dataclass(frozen=True, slots=True)
class ExitSavings:
    """A probe every `every` thinking tokens, an exit after `stable` equal answers: means per problem, with intervals.

    `accuracy_lost` is a share; `thinking_tokens_saved` and `paid_tokens_saved` are tokens, the latter net of probes.
    """

    every: int
    stable: int
    problems: int
    exited: float
    accuracy_lost: Interval
    thinking_tokens: Interval
    thinking_tokens_saved: Interval
    probes: Interval
    paid_tokens_saved: Interval

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def grid_step(thinking_budgets: Iterable[int | None]) -> int | None:
    """The step of a grid of budgets that starts at 0; None if they have no two steps of a grid."""
    budgets = {budget for budget in thinking_budgets if budget}
    every = min(budgets, default=0)
    return every if 2 * every in budgets else None


def early_exit_savings(attempts: Iterable[Attempt], stable: int) -> ExitSavings:
    """The savings of the rule on a sweep over a grid of budgets. Raises UserError if the budgets are not a grid."""
    by_problem: dict[str, dict[int | None, Attempt]] = {}
    for attempt in attempts:
        by_problem.setdefault(attempt.problem, {})[attempt.thinking_budget] = attempt
    known = [r for r in by_problem.values() if None in r and all(a.verdict != Verdict.MISSING for a in r.values())]
    every = grid_step(known[0]) if known else None
    if every is None:
        budgets = sorted(budget for budget in known[0] if budget is not None) if known else "no attempts"
        raise UserError("thinking budgets to probe at", budgets, "evaluate a grid, such as 16, 32, 48, ...")
    ends = [(_end(replies, every, stable), replies[None]) for replies in known]
    used = [(_thought(end), _thought(free)) for (end, _), free in ends]
    paid = [free.counts().paid_tokens - end.counts().paid_tokens - probes for (end, probes), free in ends]
    return ExitSavings(
        every,
        stable,
        len(known),
        sum(end is not free for (end, _), free in ends) / len(known),
        bootstrap([[float(_right(free) - _right(end))] for (end, _), free in ends]),
        intervals.mean([short for short, _ in used]),
        bootstrap([[full - short] for short, full in used]),
        intervals.mean([float(probes) for (_, probes), _ in ends]),
        bootstrap([[float(saved)] for saved in paid]),
    )


def _end(replies: Mapping[int | None, Attempt], every: int, stable: int) -> tuple[Attempt, int]:
    """The reply that the rule ends with, and the tokens of its probes."""
    last, equal, probes, budget = "", 0, 0, every
    while budget in replies and replies[budget].shift == Shift.BUDGET:
        probe = replies[budget]
        answer = canonical_answer(probe.text(Bucket.HINT, Bucket.ANSWER))
        equal = 0 if not answer else equal + 1 if answer == last else 1
        last = answer
        probes += sum(b - a for bucket, a, b in probe.spans if bucket != Bucket.THOUGHT)
        if equal >= stable:
            return probe, probes
        budget += every
    return replies[None], probes


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _right(attempt: Attempt) -> bool:
    return attempt.verdict == Verdict.RIGHT
