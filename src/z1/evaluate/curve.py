"""The numbers of a run (curve.json): accuracy against tokens, by thinking budget and by difficulty.

For each budget: accuracy, thinking tokens and all paid tokens, each with its interval; the shares shifted, cut and
unparsed; pass@k if problems have several samples, which the intervals account for. Missing attempts are counted and
left out of everything else. `truncated_accuracy` is the accuracy of the replies without a budget when they are cut off
after as many tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

from z1.errors import Fault
from z1.evaluate import intervals
from z1.evaluate.paired import pass_at_k
from z1.grading import Verdict
from z1.records import Attempt, Interval, Problem
from z1.think import End, Shift

Numbers = dict[str, Any]

T = TypeVar("T")

FORMAT = 1
"""Version of the format of curve.json and of the files beside it; `z1.results` has its schemas."""


def curve(problems: Sequence[Problem], attempts: Iterable[Attempt], names: dict[str, str]) -> Numbers:
    """The content of curve.json; `names` are its `run`, `model` and `benchmark`. Raises Fault if all attempts are
    missing.
    """
    known = {problem.id: problem for problem in problems}
    by_budget: dict[int | None, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.problem in known:
            by_budget.setdefault(attempt.thinking_budget, []).append(attempt)
    budgets = sorted(by_budget, key=lambda w: float("inf") if w is None else w)
    free = by_budget.get(None, [])
    points = [point for w in budgets if (point := _point(w, by_budget[w], free))]
    if not points:
        raise Fault(f"every attempt is missing: {_frequent_fault(by_budget)}; see `fault` in attempts.jsonl")
    return {
        "format": FORMAT,
        **names,
        "problems": len(problems),
        "points": points,
        "by_steps": [row for w in budgets for row in _by_steps(w, by_budget[w], known)],
        "s1": _s1(points),
    }


def _frequent_fault(by_budget: Mapping[int | None, Sequence[Attempt]]) -> str:
    faults = Counter(attempt.fault for attempts in by_budget.values() for attempt in attempts)
    return faults.most_common(1)[0][0] if faults else "there are none"


def _point(budget: int | None, attempts: Sequence[Attempt], free: Sequence[Attempt]) -> Numbers | None:
    known = [a for a in attempts if a.verdict != Verdict.MISSING]
    if not known:
        return None
    n = len(known)
    return {
        "thinking_budget": budget,
        "n": n,
        "missing": len(attempts) - n,
        "accuracy": _accuracy(known),
        **_truncated(budget, free),
        "thinking_tokens": intervals.clustered_mean(_by_problem(known, _thought)),
        "paid_tokens": intervals.clustered_mean(_by_problem(known, _paid)),
        "phase_one": fmean(a.ledger["phase_one"] or 0 for a in known),
        "shifted": sum(a.shift != Shift.NATURAL for a in known) / n,
        "cut": sum(a.end == End.CUT for a in known) / n,
        "unparsed": sum(a.verdict == Verdict.UNPARSED for a in known) / n,
        **_passes(attempts),
    }


def _truncated(budget: int | None, free: Sequence[Attempt]) -> Numbers:
    """Accuracy of the replies without a budget when they are cut off after `budget` tokens."""
    known = [a for a in free if a.verdict != Verdict.MISSING]
    if budget is None or not known:
        return {}
    return {
        "truncated_accuracy": intervals.clustered_share(_by_problem(known, lambda a: _right(a) and _paid(a) <= budget))
    }


def _passes(attempts: Sequence[Attempt]) -> Numbers:
    """pass@k for k = 1, 2, 4 ... over problems with all samples graded; empty with one sample per problem."""
    samples = 1 + max(a.sample for a in attempts)
    known = _by_problem([a for a in attempts if a.verdict != Verdict.MISSING], _right)
    whole = [sum(found) for found in known if len(found) == samples]
    if samples == 1 or not whole:
        return {}
    counts = [k for k in (2**n for n in range(samples)) if k <= samples]
    return {"pass_at": {str(k): pass_at_k(whole, samples, k) for k in counts}}


def _by_problem(attempts: Iterable[Attempt], of: Callable[[Attempt], T]) -> list[list[T]]:
    found: dict[str, list[T]] = {}
    for attempt in attempts:
        found.setdefault(attempt.problem, []).append(of(attempt))
    return list(found.values())


def _by_steps(budget: int | None, attempts: Sequence[Attempt], problems: dict[str, Problem]) -> list[Numbers]:
    groups: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        steps = problems[attempt.problem].steps
        if steps is not None and attempt.verdict != Verdict.MISSING:
            groups.setdefault(steps, []).append(attempt)
    return [
        {
            "thinking_budget": budget,
            "steps": steps,
            "n": len(group),
            "accuracy": _accuracy(group),
            "thinking_tokens": intervals.clustered_mean(_by_problem(group, _thought)),
        }
        for steps, group in sorted(groups.items())
    ]


def _s1(points: Sequence[Numbers]) -> Numbers:
    curve_points = [(p["thinking_tokens"][1], p["accuracy"][1]) for p in points]
    capped = [(p["thinking_tokens"][1], p["thinking_budget"]) for p in points if p["thinking_budget"] is not None]
    return {
        "control": intervals.control(capped) if capped else None,
        "scaling": intervals.scaling(curve_points),
        "performance": intervals.performance(curve_points),
    }


def _accuracy(attempts: Sequence[Attempt]) -> Interval:
    return intervals.clustered_share(_by_problem(attempts, _right))


def _right(attempt: Attempt) -> bool:
    return attempt.verdict == Verdict.RIGHT


def _thought(attempt: Attempt) -> float:
    return float(attempt.ledger["thought"] or 0)


def _paid(attempt: Attempt) -> float:
    return float(attempt.counts().paid_tokens)
