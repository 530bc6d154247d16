"""What an early exit by probes would have saved, read off a finished sweep.

A sweep contains every probe: the answer forced at each budget is the answer that a probe there would have given
(`engines/answer_exit.py`, under greedy decoding), with its probability. So where a policy ends a thought is read off
problem by problem and compared with unlimited thinking; probes are counted with their cost. Nothing is probed after the
largest budget of the sweep. Several samples of a problem are a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from z1.errors import UserError
from z1.evaluate import intervals
from z1.evaluate.exit_bounds import ProbedThought
from z1.evaluate.paired import bootstrap, difference_of_shares
from z1.exit_policy import AnswerConfidence, ExitMinimums, ProbeHistory, ProbeSignals
from z1.grading import Verdict
from z1.grading.equivalence import answer_parts, canonical_answer
from z1.records import Attempt, Interval
from z1.think import THINKING, Bucket, Shift


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


@dataclass(frozen=True, slots=True)
class SweptThought:
    """One thought of a sweep: for each probe the reply of an exit there, its canonical answer and the probe's signals;
    and the reply of unlimited thinking.
    """

    problem: str
    replies: tuple[Attempt, ...]
    answers: tuple[str, ...]
    signals: tuple[ProbeSignals, ...]
    free: Attempt
    free_answer: str


Risk = Callable[[SweptThought, int], float]
"""The loss, 0 to 1, of an exit of a thought at the probe with this index."""


def _lost_right(thought: SweptThought, at: int) -> float:
    return float(_right(thought.free) and not _right(thought.replies[at]))


def _changed_answer(thought: SweptThought, at: int) -> float:
    return float(thought.free_answer != thought.answers[at])


RISKS: dict[str, Risk] = {"lost_right": _lost_right, "changed_answer": _changed_answer}
"""Losses of an exit against unlimited thinking: a right answer was lost, over all problems; the answer is another."""


def swept_thoughts(attempts: Iterable[Attempt], probe_interval: int | None = None) -> tuple[int, list[SweptThought]]:
    """The interval of the probes, which is the step of the grid of budgets or a multiple of it, and the thoughts of
    which no reply is missing. Raises UserError without a grid.
    """
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
    interval = probe_interval or every
    if interval % every:
        raise UserError("probe interval", interval, f"give a multiple of {every}, the step of the run's budgets")
    return interval, [_swept(problem, found, interval) for (problem, _), found in known.items()]


def _swept(problem: str, found: Mapping[int | None, Attempt], every: int) -> SweptThought:
    probes, budget = [], every
    while budget in found and found[budget].shift == Shift.BUDGET:
        probes.append(found[budget])
        budget += every
    history, answers = ProbeHistory(), [_answer(one) for one in probes]
    signals = [
        history.add((number + 1) * every, answer, _confidence(one))
        for number, (one, answer) in enumerate(zip(probes, answers, strict=True))
    ]
    return SweptThought(problem, tuple(probes), tuple(answers), tuple(signals), found[None], _answer(found[None]))


def probed_thoughts(
    thoughts: Iterable[SweptThought], risk: str, clusters: Mapping[str, str] | None = None
) -> list[ProbedThought]:
    """The thoughts for a bound on one of `RISKS`; `clusters` are the problems' (a user, a conversation), by id."""
    loss, names = RISKS[risk], clusters or {}
    return [
        ProbedThought(
            names.get(one.problem, one.problem),
            one.signals,
            tuple(loss(one, at) for at in range(len(one.signals))),
            tuple(map(_sampled_tokens, one.replies)),
            tuple(map(_probe_tokens, one.replies)),
            _thought(one.free),
        )
        for one in thoughts
    ]


def answer_tokens(thoughts: Iterable[SweptThought]) -> int:
    """The most tokens that a forced answer has, with its stop token."""
    return max((1, *(_sampled_tokens(reply) for one in thoughts for reply in one.replies)))


def exit_savings(every: int, thoughts: Sequence[SweptThought], stable: int) -> ExitSavings:
    """The savings of an exit after `stable` equal answers, by `swept_thoughts` with a probe `every` so many tokens."""
    minimums = ExitMinimums(stable)
    exits: dict[str, list[_Exit]] = {}
    for one in thoughts:
        exits.setdefault(one.problem, []).append(_exit(one, minimums))

    def groups(of: Callable[[_Exit], float]) -> list[list[float]]:
        return [[of(one) for one in samples] for samples in exits.values()]

    return ExitSavings(
        every,
        stable,
        len(exits),
        sum(one.reply is not one.free for samples in exits.values() for one in samples) / len(thoughts),
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


def _exit(thought: SweptThought, minimums: ExitMinimums) -> _Exit:
    at = next((index for index, one in enumerate(thought.signals) if minimums.are_met(one)), None)
    probes = sum(map(_probe_tokens, thought.replies[: None if at is None else at + 1]))
    return _Exit(thought.free if at is None else thought.replies[at], thought.free, probes)


def _probe_tokens(reply: Attempt) -> int:
    return sum(end - start for bucket, start, end in reply.spans if bucket not in THINKING)


def _sampled_tokens(reply: Attempt) -> int:
    return sum(end - start for bucket, start, end in reply.spans if bucket in (Bucket.ANSWER, Bucket.STOP))


def _confidence(reply: Attempt) -> AnswerConfidence | None:
    return None if reply.answer_confidence is None else AnswerConfidence(**reply.answer_confidence)


def _answer(attempt: Attempt) -> str:
    buckets = [bucket for bucket, _, _ in attempt.spans]
    return canonical_answer("".join(answer_parts(zip(buckets, attempt.texts, strict=True))))


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _paid(attempt: Attempt) -> int:
    return attempt.counts().paid_tokens


def _right(attempt: Attempt) -> bool:
    return attempt.verdict == Verdict.RIGHT
