"""How are problems gathered so that nothing finished is ever lost?

One line a problem in an append-only log, written before it counts. A collection that was stopped goes on after its last
line and ends with the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path

from z1 import synthetic
from z1.errors import UserError
from z1.recipe import CurateSettings
from z1.records import TrajectorySet
from z1.runs import Log, read_lines

LOG = "trajectories.jsonl"

TOGETHER = 50
"""Problems appended in one write; a kill loses at most so many, and they are collected again."""


def collect(settings: CurateSettings, seed: int, folder: Path, progress: Callable[[int], None]) -> Path:
    """Gather the synthetic training problems into `folder`/trajectories.jsonl; `progress` is told how many there are.

    Returns the log. Raises UserError where there is no such problem.
    """
    path = folder / LOG
    fewest, most = settings.steps
    wanted = [synthetic.DatasetRequest(settings.problems, "train", fewest, most, seed, kinds=settings.kinds)]
    if settings.word_problems:
        wanted.append(
            synthetic.DatasetRequest(settings.word_problems, "train", fewest, most, seed, synthetic.WORD_PROBLEMS)
        )
    with Log(path) as log:
        have = read_lines(path, TrajectorySet.from_json)
        count = len(have)
        progress(count)
        source = chain.from_iterable(
            synthetic.collect(one, [kept for kept in have if kept.problem.origin == one.task]) for one in wanted
        )
        while found := list(islice(source, TOGETHER)):
            log.add(trajectories.as_json() for trajectories in found)
            count += len(found)
            progress(count)
    if count == 0:
        raise UserError("synthetic problems", f"none of {fewest} to {most} steps", "widen curate.steps")
    return path
