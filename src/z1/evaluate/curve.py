"""What are the numbers of a run?

For each window: accuracy, thought tokens and all tokens paid, each with its interval, and the shares shifted, cut and
unparsed; pass@k where problems were asked several times, of which intervals know. Missing attempts are counted and left
out of everything else. Where free replies are known, each window also says what the same allowance gives
without it: free replies are cut where they stand, and count if they were right by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


def curve(problems: Sequence[Problem], attempts: Iterable[Attempt], names: dict[str, str]) -> Numbers:
    """The content of curve.json; `names` are its `run`, `model` and `benchmark`. Raises Fault where nothing was
    measured.
    """
    known = {problem.id: problem for problem in problems}
    by_window: dict[int | None, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.problem in known:
            by_window.setdefault(attempt.thinking_budget, []).append(attempt)
    windows = sorted(by_window, key=lambda w: float("inf") if w is None else w)
    free = by_window.get(None, [])
    points = [point for w in windows if (point := _point(w, by_window[w], free))]
    if not points:
        raise Fault("every attempt is missing; see the faults in attempts.jsonl")
    return {
        **names,
        "problems": len(problems),
        "points": points,
        "by_steps": [row for w in windows for row in _by_steps(w, by_window[w], known)],
        "s1": _s1(points),
    }


def _point(window: int | None, attempts: Sequence[Attempt], free: Sequence[Attempt]) -> Numbers | None:
    known = [a for a in attempts if a.verdict != Verdict.MISSING]
    if not known:
        return None
    n = len(known)
    return {
        "thinking_budget": window,
        "n": n,
        "missing": len(attempts) - n,
        "accuracy": _accuracy(known),
        **_off(window, free),
        "thought": intervals.clustered_mean(_by_problem(known, _thought)),
        "paid": intervals.clustered_mean(_by_problem(known, _paid)),
        "phase_one": fmean(a.ledger["phase_one"] or 0 for a in known),
        "shifted": sum(a.shift != Shift.NATURAL for a in known) / n,
        "cut": sum(a.end == End.CUT for a in known) / n,
        "unparsed": sum(a.verdict == Verdict.UNPARSED for a in known) / n,
        **_passes(attempts),
    }


def _off(window: int | None, free: Sequence[Attempt]) -> Numbers:
    """The share right of free replies that are cut after `window` ids, whatever they are about to say."""
    known = [a for a in free if a.verdict != Verdict.MISSING]
    if window is None or not known:
        return {}
    return {
        "truncated_accuracy": intervals.clustered_share(_by_problem(known, lambda a: _right(a) and _paid(a) <= window))
    }


def _passes(attempts: Sequence[Attempt]) -> Numbers:
    """pass@k for k = 1, 2, 4 ... of the problems all of whose draws are known; nothing where each was asked once."""
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


def _by_steps(window: int | None, attempts: Sequence[Attempt], problems: dict[str, Problem]) -> list[Numbers]:
    groups: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        steps = problems[attempt.problem].steps
        if steps is not None and attempt.verdict != Verdict.MISSING:
            groups.setdefault(steps, []).append(attempt)
    return [
        {
            "thinking_budget": window,
            "steps": steps,
            "n": len(group),
            "accuracy": _accuracy(group),
            "thought": intervals.clustered_mean(_by_problem(group, _thought)),
        }
        for steps, group in sorted(groups.items())
    ]


def _s1(points: Sequence[Numbers]) -> Numbers:
    curve_points = [(p["thought"][1], p["accuracy"][1]) for p in points]
    capped = [(p["thought"][1], p["thinking_budget"]) for p in points if p["thinking_budget"] is not None]
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
