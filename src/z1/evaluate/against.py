"""What does one run say against another of the same problems?

Everything is paired by problem, and several draws of a problem count as one, by their mean. Under each window that both
runs have: the difference of accuracy with its bootstrap interval, an exact sign test, the ratio of thought tokens, and
how many problems would show this difference. Over whole curves: tokens at matched accuracy. What cannot be computed is
None, and `why` says so. Problems that miss an attempt in either run are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from z1.errors import Fault
from z1.evaluate import matched
from z1.evaluate import scores as arms
from z1.evaluate.intervals import Interval
from z1.evaluate.paired import difference, pairs_needed
from z1.evaluate.scores import ModelScores
from z1.records import Attempt

Numbers = dict[str, Any]


def against(ours: Iterable[Attempt], theirs: Iterable[Attempt]) -> Numbers:
    """Ours against theirs, ready for JSON. Raises Fault where they have no whole problem or no window in common."""
    one, other = (arms.scores(arms.draws(attempts)) for attempts in (ours, theirs))
    problems = sorted(_problems(one) & _problems(other))
    if not problems:
        raise Fault("the two runs have no problem in common")
    windows = sorted(one.right.keys() & other.right.keys(), key=lambda w: float("inf") if w is None else w)
    if not windows:
        raise Fault("the two runs have no window in common")
    return {
        "problems": len(problems),
        "windows": [_under(window, one, other, problems) for window in windows],
        "matched": _matched(one, other, problems),
    }


def _problems(scores: ModelScores) -> set[str]:
    return set(next(iter(scores.right.values())))


def _under(window: int | None, ours: ModelScores, theirs: ModelScores, problems: Sequence[str]) -> Numbers:
    one, other = ({p: scores.right[window][p] for p in problems} for scores in (ours, theirs))
    found = difference(one, other)
    return {
        "window": window,
        "ours": sum(one.values()) / len(problems),
        "theirs": sum(other.values()) / len(problems),
        "difference": found.interval,
        "only_ours": found.only_ours,
        "only_theirs": found.only_theirs,
        "p_value": found.p_value,
        "problems_needed": pairs_needed([one[p] - other[p] for p in problems]),
        "thought_ratio": _ratio(ours.thought[window], theirs.thought[window], problems),
    }


def _ratio(ours: Mapping[str, float], theirs: Mapping[str, float], problems: Sequence[str]) -> Interval | None:
    if not any(theirs[p] for p in problems):
        return None
    return arms.ratio({p: ours[p] for p in problems}, {p: theirs[p] for p in problems})


def _matched(ours: ModelScores, theirs: ModelScores, problems: Sequence[str]) -> Numbers:
    one, other = (
        {p: [(run.thought[w][p], run.right[w][p]) for w in run.right] for p in problems} for run in (ours, theirs)
    )
    accuracy = matched.common_accuracy(matched.curve_of(one, problems), matched.curve_of(other, problems))
    try:
        ratio, drawn = matched.ratio_with_interval(one, other)
    except ValueError as error:
        return {"accuracy": accuracy, "ratio": None, "why": str(error)}
    return {"accuracy": accuracy, "ratio": ratio, "draws_with_a_ratio": drawn}
