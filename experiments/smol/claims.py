"""Comparisons of two arms with a bootstrap over seeds and over problems, or over clusters of problems.

Both arms answered the same problems; their seeds are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from z1.evaluate.intervals import middle
from z1.records import Attempt, Interval

RESAMPLES = 2000

REACH = 1.96 + 0.84
"""Standard errors of a difference that is seen, at 95 %, four times in five."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One arm: thinking tokens and right answers [seeds, budgets, problems], in the order of `problems`; unlimited
    thinking is the last budget.
    """

    problems: Sequence[str]
    thought: Array
    right: Array


def scores(seeds: Sequence[Sequence[Attempt]], is_right: Callable[[Attempt], bool]) -> Scores:
    """The scores of an arm from the attempts of each of its seeds; a missing attempt is wrong."""
    problems = sorted({one.problem for one in seeds[0]})
    budgets = sorted({one.thinking_budget for one in seeds[0]}, key=lambda w: np.inf if w is None else w)
    shape = (len(seeds), len(budgets), len(problems))
    thought, right = np.zeros(shape), np.zeros(shape)
    at = {problem: index for index, problem in enumerate(problems)}
    for seed, attempts in enumerate(seeds):
        for one in attempts:
            cell = seed, budgets.index(one.thinking_budget), at[one.problem]
            thought[cell], right[cell] = one.ledger["thought"] or 0, is_right(one)
    return Scores(problems, thought, right)


@dataclass(frozen=True)
class Comparison:
    """A number of two arms with its interval, and the smallest difference from it that would probably be seen."""

    interval: Interval
    smallest: float


Measure = Callable[[Array, Array, Array, Array], float]
"""Of mean thought and mean accuracy by budget: of ours, then of theirs."""


def accuracy_difference(_a: Array, ours: Array, _b: Array, theirs: Array) -> float:
    """Accuracy of ours minus that of theirs, with unlimited thinking."""
    return float(ours[-1] - theirs[-1])


def thinking_ratio(ours: Array, _a: Array, theirs: Array, _b: Array) -> float:
    """Thinking tokens of ours over those of theirs, with unlimited thinking."""
    return float(ours[-1] / max(theirs[-1], 1e-9))


def at_equal_thought(our_thought: Array, ours: Array, their_thought: Array, theirs: Array) -> float:
    """Accuracy of ours minus that of theirs at the lower of both mean thoughts, read off the curves of budgets."""
    tokens = min(our_thought[-1], their_thought[-1])
    return float(np.interp(tokens, our_thought, ours) - np.interp(tokens, their_thought, theirs))


def compare(
    measure: Measure, ours: Scores, theirs: Scores, clusters: Mapping[str, Hashable] | None = None
) -> Comparison:
    """The measure on all problems, its interval, and the smallest effect; whole `clusters` are resampled."""
    problems = sorted(set(ours.problems) & set(theirs.problems))
    groups = [clusters[one] if clusters else one for one in problems]
    index = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    member = np.array([index[group] for group in groups])
    tables = [_select(one, problems) for one in (ours, theirs)]
    rng = np.random.default_rng(0)

    def measured(weights: Array, chosen: Sequence[NDArray[np.int64]]) -> float:
        by_problem = weights[member]
        means = [
            table[seeds].mean(0) @ by_problem / by_problem.sum()
            for pair, seeds in zip(tables, chosen, strict=True)
            for table in pair
        ]
        return measure(*means)

    counts = [len(one.right) for one in (ours, theirs)]
    value = measured(np.ones(len(index)), [np.arange(count) for count in counts])
    sampled = [
        measured(
            rng.multinomial(len(index), np.full(len(index), 1 / len(index))).astype(float),
            [rng.integers(count, size=count) for count in counts],
        )
        for _ in range(RESAMPLES)
    ]
    return Comparison(middle(value, sampled), REACH * float(np.std(sampled)))


def _select(one: Scores, problems: Sequence[str]) -> tuple[Array, Array]:
    at = {problem: index for index, problem in enumerate(one.problems)}
    columns = [at[problem] for problem in problems]
    return one.thought[:, :, columns], one.right[:, :, columns]
