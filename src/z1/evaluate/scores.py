"""Scores of a model over its seeds, and comparisons of two models.

Both models saw the same problems, so everything is paired and the difficulty of a problem cancels out. If a model was
trained with several seeds, a problem counts once, with the mean over them. Shares get Wilson's interval, ratios of
means that of the linearised ratio (delta method), differences that of `paired.py`, numbers read off a curve a bootstrap
over problems.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import inf, sqrt
from random import Random
from statistics import fmean, stdev
from typing import Any

from z1.errors import Fault
from z1.evaluate import matched
from z1.evaluate.intervals import Z, mean, middle, share
from z1.evaluate.paired import difference_of_shares
from z1.grading import Verdict
from z1.records import Attempt, Interval

RESAMPLES = 400
"""Bootstrap resamples for the interval of a number that is read off a curve."""


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One model's means over its seeds by budget (None is unlimited), then by problem: right (0 to 1), thinking tokens,
    all paid tokens, and `truncated_accuracy`, which is right if the unlimited reply is cut off after as many tokens.
    """

    right: Mapping[int | None, Mapping[str, float]]
    thinking_tokens: Mapping[int | None, Mapping[str, float]]
    paid_tokens: Mapping[int | None, Mapping[str, float]] = field(default_factory=dict)
    truncated_accuracy: Mapping[int | None, Mapping[str, float]] = field(default_factory=dict)

    def unlimited(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Right and thinking tokens of unlimited thinking, by problem."""
        return self.right[None], self.thinking_tokens[None]

    def accuracy(self) -> Interval:
        """Accuracy of unlimited thinking."""
        return _accuracy(self.right[None].values())


def split_samples(attempts: Iterable[Attempt]) -> list[list[Attempt]]:
    """The attempts of a run, one list per sample; `model_scores` takes samples as it takes seeds."""
    ordered = sorted(attempts, key=lambda a: a.sample)
    return [list(found) for _, found in groupby(ordered, key=lambda a: a.sample)]


def model_scores(seeds: Sequence[Iterable[Attempt]]) -> ModelScores:
    """The scores of a model from the attempts of each of its seeds, without problems that miss an attempt."""
    cells: dict[int | None, dict[str, list[Attempt]]] = {}
    for attempts in seeds:
        for attempt in attempts:
            if attempt.verdict != Verdict.MISSING:
                cells.setdefault(attempt.thinking_budget, {}).setdefault(attempt.problem, []).append(attempt)
    known = [{p for p, found in cell.items() if len(found) == len(seeds)} for cell in cells.values()]
    kept = sorted(set.intersection(*known)) if known else []
    if not kept:
        raise Fault("no problem was attempted at every budget and with every seed")

    def means(of: Callable[[Attempt], float], cell: Mapping[str, list[Attempt]]) -> dict[str, float]:
        return {p: fmean(map(of, cell[p])) for p in kept}

    right = {w: means(_right, cell) for w, cell in cells.items()}
    thought = {w: means(lambda a: a.ledger["thought"] or 0, cell) for w, cell in cells.items()}
    paid = {w: means(lambda a: a.counts().paid_tokens, cell) for w, cell in cells.items()}
    capped = [w for w in cells if w is not None and None in cells]
    truncated: dict[int | None, dict[str, float]] = {w: means(partial(_right, within=w), cells[None]) for w in capped}
    return ModelScores(right, thought, paid, truncated)


def _right(attempt: Attempt, within: float = inf) -> float:
    """Whether the answer is right and was complete within the limit of tokens."""
    return attempt.verdict == Verdict.RIGHT and attempt.counts().paid_tokens <= within


def points(one: ModelScores) -> list[dict[str, Any]]:
    """A model's curve, one point per budget, unlimited last: accuracy, truncated accuracy, thinking tokens and paid
    tokens, each with its interval.
    """
    budgets = sorted(one.right, key=lambda w: float("inf") if w is None else w)
    kinds = {
        "accuracy": (one.right, _accuracy),
        "truncated_accuracy": (one.truncated_accuracy, _accuracy),
        "thinking_tokens": (one.thinking_tokens, _mean),
        "paid_tokens": (one.paid_tokens, _mean),
    }
    return [
        {"thinking_budget": w, **{name: of(kind[w].values()) for name, (kind, of) in kinds.items() if w in kind}}
        for w in budgets
    ]


def _accuracy(right: Collection[float]) -> Interval:
    return share(sum(right), len(right))


def _mean(tokens: Collection[float]) -> Interval:
    return mean(list(tokens))


def by_group(
    one: ModelScores, groups: Mapping[str, int | str | None], name: str, budget: int | None = None
) -> list[dict[str, Any]]:
    """Accuracy and thinking tokens at a thinking budget by the group of each problem, in order; `name` is the key of
    the group in each row.
    """
    members: dict[Any, list[str]] = {}
    right, thought = one.right[budget], one.thinking_tokens[budget]
    for problem in right:
        members.setdefault(groups.get(problem) or 0, []).append(problem)
    return [
        {
            name: group,
            "n": len(problems),
            "accuracy": share(sum(right[p] for p in problems), len(problems)),
            "thinking_tokens": mean([thought[p] for p in problems]),
        }
        for group, problems in sorted(members.items())
    ]


def difference(ours: ModelScores, theirs: ModelScores) -> Interval:
    """Accuracy of `ours` minus that of `theirs`, both with unlimited thinking."""
    (a, _), (b, _) = ours.unlimited(), theirs.unlimited()
    return difference_of_shares([[a[p] - b[p]] for p in sorted(a.keys() & b.keys())])


def ratio(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Interval:
    """Mean of `ours` over mean of `theirs`, paired by problem. Raises Fault if the mean of `theirs` is 0."""
    shared = sorted(ours.keys() & theirs.keys())
    divisor = fmean(theirs[p] for p in shared)
    if not divisor:
        raise Fault("no ratio to a model that does not think")
    value = fmean(ours[p] for p in shared) / divisor
    rest = [ours[p] - value * theirs[p] for p in shared]
    half = Z * stdev(rest) / (divisor * sqrt(len(rest))) if len(rest) > 1 else 0.0
    return Interval(value - half, value, value + half)


def at_matched_accuracy(ours: ModelScores, theirs: ModelScores, within: float = 0.0, seed: int = 0) -> Interval:
    """Thinking tokens of `ours` over those of `theirs`, read off their curves at one accuracy: the lower of both best,
    minus `within`.
    """
    shared = sorted(ours.unlimited()[0].keys() & theirs.unlimited()[0].keys())
    tables = [_table(one, shared) for one in (ours, theirs)]
    value = _matched(tables, range(len(shared)), within)
    rng = Random(seed)
    sampled = [_matched(tables, rng.choices(range(len(shared)), k=len(shared)), within) for _ in range(RESAMPLES)]
    return middle(value, sampled)


Table = list[tuple[list[float], list[float]]]
"""For each budget, thinking tokens and right of every problem."""


def _table(one: ModelScores, shared: Sequence[str]) -> Table:
    return [([one.thinking_tokens[w][p] for p in shared], [one.right[w][p] for p in shared]) for w in one.right]


def _matched(tables: Sequence[Table], sampled: Sequence[int], within: float) -> float:
    curves = [
        sorted((fmean([thought[i] for i in sampled]), fmean([right[i] for i in sampled])) for thought, right in table)
        for table in tables
    ]
    accuracy = matched.common_accuracy(*curves) - within
    ours, theirs = (tokens_at(curve, accuracy) for curve in curves)
    return ours / theirs


def tokens_at(curve: Sequence[tuple[float, float]], accuracy: float) -> float:
    """As `matched.tokens_at`, but if the first point is above `accuracy` its tokens are returned: every resample has a
    value. Raises Fault if the curve stays below `accuracy`.
    """
    first = min(curve)
    found = first[0] if first[1] >= accuracy else matched.tokens_at(curve, accuracy)
    if found is None:
        raise Fault(f"the curve never reaches {accuracy:.3f}")
    return found
