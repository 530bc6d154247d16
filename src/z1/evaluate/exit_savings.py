"""What early exit by convergence would have saved, read off a finished sweep.

A sweep contains every probe: the answer forced at each budget is the answer that a probe there would have given
(`engines/early_exit.py`, under greedy decoding). So whether k equal answers in a row end a thought too early is read
off problem by problem and compared with unlimited thinking; probes are counted with their cost. Nothing is probed after
the largest budget of the sweep. Several samples of a problem are a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, NamedTuple

from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.paired import bootstrap, difference_of_shares
from z1.grading import Verdict
from z1.grading.equivalence import answer_parts, canonical_answer
from z1.records import Attempt, Interval
from z1.risk_control import learn_then_test
from z1.think import Bucket, Shift

AGREEING = (32, 24, 16, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1)
"""Equal answers in a row after which an exit is tried for a bound, from the most careful one."""


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
    every, replies = _grid(attempts)
    exits = _exits(every, replies, stable)

    def groups(of: Callable[[_Exit], float]) -> list[list[float]]:
        return [[of(one) for one in samples] for samples in exits.values()]

    return ExitSavings(
        every,
        stable,
        len(exits),
        sum(one.reply is not one.free for samples in exits.values() for one in samples) / len(replies),
        difference_of_shares(groups(lambda one: float(_right(one.free) - _right(one.reply)))),
        intervals.clustered_mean(groups(lambda one: _thought(one.reply))),
        bootstrap(groups(lambda one: _thought(one.free) - _thought(one.reply))),
        intervals.clustered_mean(groups(lambda one: float(one.probes))),
        bootstrap(groups(lambda one: float(_paid(one.free) - _paid(one.reply) - one.probes))),
    )


@dataclass(frozen=True, slots=True)
class ExitBound:
    """The earliest exit whose risk is shown to be at most `max_risk`, by `risk_control.learn_then_test`.

    `stable` is None if none is shown. `measured` is the risk on the problems that chose it, and `thinking_ratio` the
    thinking tokens over those of unlimited thinking; without an exit they are those of unlimited thinking.
    """

    risk: str
    max_risk: float
    confidence: float
    problems: int
    every: int
    stable: int | None
    measured: Interval
    thinking_ratio: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return asdict(self)


def exit_bound(attempts: Iterable[Attempt], risk: str, max_risk: float, confidence: float) -> ExitBound:
    """The bound on one of `RISKS` for a sweep over a grid of budgets. A problem's loss is the mean of its samples'.

    Raises UserError if the budgets are not a grid, or if the problems are too few to show such a bound.
    """
    every, replies = _grid(attempts)
    exits = [_exits(every, replies, stable) for stable in AGREEING]
    losses = [[fmean(map(RISKS[risk], samples)) for samples in one.values()] for one in exits]
    chosen = learn_then_test(losses, max_risk, confidence)
    ends = [one for samples in exits[chosen or 0].values() for one in samples]
    thought = sum(_thought(one.free if chosen is None else one.reply) for one in ends)
    return ExitBound(
        risk,
        max_risk,
        confidence,
        len(losses[0]),
        every,
        None if chosen is None else AGREEING[chosen],
        intervals.share(0.0 if chosen is None else sum(losses[chosen]), len(losses[0])),
        thought / max(1.0, sum(_thought(one.free) for one in ends)),
    )


_Replies = Mapping[tuple[str, int], Mapping[int | None, Attempt]]
"""The attempts of each problem and sample, by thinking budget."""


def _grid(attempts: Iterable[Attempt]) -> tuple[int, _Replies]:
    """The step of the grid of budgets, and the replies of which none is missing. Raises UserError without a grid."""
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
    return every, known


def _exits(every: int, replies: _Replies, stable: int) -> dict[str, list[_Exit]]:
    """How the rule ends each sample of each problem."""
    exits: dict[str, list[_Exit]] = {}
    for (problem, _), found in replies.items():
        exits.setdefault(problem, []).append(_exit(found, every, stable))
    return exits


class _Exit(NamedTuple):
    """The reply that the rule ends with, the one of unlimited thinking, and the tokens of the probes."""

    reply: Attempt
    free: Attempt
    probes: int


def _exit(replies: Mapping[int | None, Attempt], every: int, stable: int) -> _Exit:
    last, equal, probes, budget = "", 0, 0, every
    while budget in replies and replies[budget].shift == Shift.BUDGET:
        probe = replies[budget]
        answer = _answer(probe)
        equal = 0 if not answer else equal + 1 if answer == last else 1
        last = answer
        probes += sum(b - a for bucket, a, b in probe.spans if bucket != Bucket.THOUGHT)
        if equal >= stable:
            return _Exit(probe, replies[None], probes)
        budget += every
    return _Exit(replies[None], replies[None], probes)


def _answer(attempt: Attempt) -> str:
    buckets = [bucket for bucket, _, _ in attempt.spans]
    return canonical_answer("".join(answer_parts(zip(buckets, attempt.texts, strict=True))))


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _paid(attempt: Attempt) -> int:
    return attempt.counts().paid_tokens


def _right(attempt: Attempt) -> bool:
    return attempt.verdict == Verdict.RIGHT


RISKS: dict[str, Callable[[_Exit], float]] = {
    "lost_right": lambda one: float(_right(one.free) and not _right(one.reply)),
    "changed_answer": lambda one: float(_answer(one.free) != _answer(one.reply)),
}
"""Losses of an exit against unlimited thinking: a right answer was lost, over all problems; the answer is another."""
