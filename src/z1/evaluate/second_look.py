"""A long thought goes through everything a second time: does that mend mistakes, or make them?

Looks at free attempts whose thought holds the check of the built-in worlds. What the first pass had come to stands at
the end of its last row, so that it can be graded beside the answer that was given in the end. Both are of one attempt,
so the comparison is paired; where a model was trained with several seeds, a problem counts once, with the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean

from z1.evaluate.intervals import Interval, mean
from z1.grading import Verdict
from z1.records import Attempt
from z1.synthetic.trajectories import CHECK
from z1.think import Bucket


def second_look(
    attempts: Iterable[Attempt], answers: Mapping[str, str], ours: Mapping[str, float]
) -> dict[str, Interval | int]:
    """How many attempts were `checked`, and shares of them: right after the `first` pass, right in the end (`last`),
    `mended` and `harmed` in between, and `gained`, which is last less first. `above_first` is `ours`, how often another
    model is right by problem, less the first pass.
    """
    looks: dict[str, list[tuple[bool, bool]]] = {}
    for attempt in attempts:
        first, checked, _ = attempt.text(Bucket.THOUGHT).partition(f"{CHECK}\n")
        if checked and attempt.thinking_budget is None and attempt.problem in ours:
            found = first.rstrip("\n").rpartition(" -> ")[2] == answers[attempt.problem]
            looks.setdefault(attempt.problem, []).append((found, attempt.verdict == Verdict.RIGHT))
    if not looks:
        return {"checked": 0}

    def share(of: Callable[[str, bool, bool], float]) -> Interval:
        return mean([fmean(of(problem, *look) for look in found) for problem, found in looks.items()])

    return {
        "checked": sum(map(len, looks.values())),
        "first": share(lambda _, first, last: first),
        "last": share(lambda _, first, last: last),
        "mended": share(lambda _, first, last: last and not first),
        "harmed": share(lambda _, first, last: first and not last),
        "gained": share(lambda _, first, last: last - first),
        "above_first": share(lambda problem, first, last: ours[problem] - first),
    }
