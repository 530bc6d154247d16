"""Whether a model's check of its own work corrects mistakes or makes them.

The *long* arm writes every line a second time as a check. Takes attempts without a budget whose thought holds such a
check. The result of the first pass is at the end of its last row, so it can be graded beside the final answer. Both
belong to one attempt, so the comparison is paired; with several seeds, a problem counts once, with its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean

from z1.evaluate.intervals import mean
from z1.grading import Verdict
from z1.records import Attempt, Interval
from z1.synthetic.trajectories import CHECK
from z1.think import Bucket


def self_check(
    attempts: Iterable[Attempt], answers: Mapping[str, str], reference: Mapping[str, float]
) -> dict[str, Interval | int]:
    """The number of attempts that were `checked`, and shares of them: right after the `first` pass, right in the end
    (`last`), `mended` and `harmed` in between, and `gained`, which is last minus first. `above_first` is the accuracy
    of another model (`reference`, by problem) minus that of the first pass.
    """
    passes: dict[str, list[tuple[bool, bool]]] = {}
    for attempt in attempts:
        first_pass, check, _ = attempt.text(Bucket.THOUGHT).partition(f"{CHECK}\n")
        if check and attempt.thinking_budget is None and attempt.problem in reference:
            is_first_right = first_pass.rstrip("\n").rpartition(" -> ")[2] == answers[attempt.problem]
            passes.setdefault(attempt.problem, []).append((is_first_right, attempt.verdict == Verdict.RIGHT))
    if not passes:
        return {"checked": 0}

    def share(of: Callable[[str, bool, bool], float]) -> Interval:
        return mean([fmean(of(problem, *one) for one in results) for problem, results in passes.items()])

    return {
        "checked": sum(map(len, passes.values())),
        "first": share(lambda _, first, last: first),
        "last": share(lambda _, first, last: last),
        "mended": share(lambda _, first, last: last and not first),
        "harmed": share(lambda _, first, last: first and not last),
        "gained": share(lambda _, first, last: last - first),
        "above_first": share(lambda problem, first, last: reference[problem] - first),
    }
