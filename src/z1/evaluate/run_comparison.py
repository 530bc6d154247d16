"""Paired comparison of two runs on the same problems, budget by budget and over whole curves.

Everything is paired by problem; several samples of a problem count once, with their mean. For each thinking budget of
both runs: the difference of accuracy with its bootstrap interval, an exact sign test, the ratio of thinking tokens, and
how many problems would show this difference. Over whole curves: tokens at matched accuracy. A number that cannot be
computed is None, with the reason in `why`. Problems with a missing attempt in either run are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from z1.errors import Fault
from z1.evaluate import matched, scores
from z1.evaluate.paired import difference, pairs_needed
from z1.evaluate.scores import ModelScores
from z1.records import Attempt, Interval

Numbers = dict[str, Any]


def compare(ours: Iterable[Attempt], theirs: Iterable[Attempt]) -> Numbers:
    """The comparison of two runs, ready for JSON. Raises Fault if they share no complete problem or no budget."""
    one, other = (scores.model_scores(scores.split_samples(attempts)) for attempts in (ours, theirs))
    problems = sorted(_problems(one) & _problems(other))
    if not problems:
        raise Fault("the two runs have no problem in common")
    budgets = sorted(one.right.keys() & other.right.keys(), key=lambda budget: inf if budget is None else budget)
    if not budgets:
        raise Fault("the two runs have no thinking budget in common")
    return {
        "problems": len(problems),
        "thinking_budgets": [_at_budget(budget, one, other, problems) for budget in budgets],
        "at_matched_accuracy": _at_matched_accuracy(one, other, problems),
    }


def _problems(run: ModelScores) -> set[str]:
    return set(next(iter(run.right.values())))


def _at_budget(budget: int | None, ours: ModelScores, theirs: ModelScores, problems: Sequence[str]) -> Numbers:
    one, other = ({p: run.right[budget][p] for p in problems} for run in (ours, theirs))
    result = difference(one, other)
    return {
        "thinking_budget": budget,
        "ours": sum(one.values()) / len(problems),
        "theirs": sum(other.values()) / len(problems),
        "difference": result.interval,
        "only_ours": result.only_ours,
        "only_theirs": result.only_theirs,
        "p_value": result.p_value,
        "problems_needed": pairs_needed([one[p] - other[p] for p in problems]),
        "thinking_ratio": _ratio(ours.thinking_tokens[budget], theirs.thinking_tokens[budget], problems),
    }


def _ratio(ours: Mapping[str, float], theirs: Mapping[str, float], problems: Sequence[str]) -> Interval | None:
    if not any(theirs[p] for p in problems):
        return None
    return scores.ratio({p: ours[p] for p in problems}, {p: theirs[p] for p in problems})


def _at_matched_accuracy(ours: ModelScores, theirs: ModelScores, problems: Sequence[str]) -> Numbers:
    one, other = (
        {p: [(run.thinking_tokens[w][p], run.right[w][p]) for w in run.right] for p in problems}
        for run in (ours, theirs)
    )
    accuracy = matched.common_accuracy(matched.curve_of(one, problems), matched.curve_of(other, problems))
    try:
        ratio, resamples = matched.ratio_with_interval(one, other)
    except ValueError as error:
        return {"accuracy": accuracy, "ratio": None, "why": str(error)}
    return {"accuracy": accuracy, "ratio": ratio, "share_of_resamples_with_a_ratio": resamples}
