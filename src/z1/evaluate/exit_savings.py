"""What early exit by convergence would have saved, read off a finished sweep.

A sweep contains every probe: the answer forced at each budget is the answer that a probe there would have given
(`engines/early_exit.py`, under greedy decoding). So whether k equal answers in a row end a thought too early is read
off problem by problem and compared with unlimited thinking; probes are counted with their cost. Nothing is probed after
the largest budget of the sweep. Several samples of a problem are a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.paired import bootstrap, difference_of_shares
from z1.grading import Verdict
from z1.grading.equivalence import answer_parts, canonical_answer
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
    replies: dict[tuple[str, int], dict[int | None, Attempt]] = {}
    for attempt in attempts:
        replies.setdefault((attempt.problem, attempt.sample), {})[attempt.thinking_budget] = attempt
    known = {
        key: found
        for key, found in replies.items()
        if None in found and all(a.verdict != Verdict.MISSING for a in found.values())
    }
    first = next(iter(known.values()), {})
    every = grid_step(first)
    if every is None:
        budgets = sorted(budget for budget in first if budget is not None) if known else "no attempts"
        raise UserError("thinking budgets to probe at", budgets, "evaluate a grid, such as 16, 32, 48, ...")
    exits: dict[str, list[_Exit]] = {}
    for (problem, _), found in known.items():
        exits.setdefault(problem, []).append(_exit(found, every, stable))

    def groups(of: Callable[[_Exit], float]) -> list[list[float]]:
        return [[of(one) for one in samples] for samples in exits.values()]

    return ExitSavings(
        every,
        stable,
        len(exits),
        sum(one.reply is not one.free for samples in exits.values() for one in samples) / len(known),
        difference_of_shares(groups(lambda one: float(_right(one.free) - _right(one.reply)))),
        intervals.clustered_mean(groups(lambda one: _thought(one.reply))),
        bootstrap(groups(lambda one: _thought(one.free) - _thought(one.reply))),
        intervals.clustered_mean(groups(lambda one: float(one.probes))),
        bootstrap(groups(lambda one: float(_paid(one.free) - _paid(one.reply) - one.probes))),
    )


class _Exit(NamedTuple):
    """The reply that the rule ends with, the one of unlimited thinking, and the tokens of the probes."""

    reply: Attempt
    free: Attempt
    probes: int


def _exit(replies: Mapping[int | None, Attempt], every: int, stable: int) -> _Exit:
    last, equal, probes, budget = "", 0, 0, every
    while budget in replies and replies[budget].shift == Shift.BUDGET:
        probe = replies[budget]
        buckets = [bucket for bucket, _, _ in probe.spans]
        answer = canonical_answer("".join(answer_parts(zip(buckets, probe.texts, strict=True))))
        equal = 0 if not answer else equal + 1 if answer == last else 1
        last = answer
        probes += sum(b - a for bucket, a, b in probe.spans if bucket != Bucket.THOUGHT)
        if equal >= stable:
            return _Exit(probe, replies[None], probes)
        budget += every
    return _Exit(replies[None], replies[None], probes)


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _paid(attempt: Attempt) -> int:
    return attempt.counts().paid_tokens


def _right(attempt: Attempt) -> bool:
    return attempt.verdict == Verdict.RIGHT
