"""Resumable collection of synthetic problems with their trajectories into an append-only log.

One line per problem, written before it counts. A collection that was interrupted resumes after its last line and ends
with the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path

from z1 import synthetic
from z1.errors import UserError
from z1.recipe import CurateSettings
from z1.records import TrajectorySet
from z1.runs import Log, read_log

LOG = "trajectories.jsonl"

WRITE_BATCH = 50
"""Problems appended in one write; at most so many are lost in a kill and collected again."""


def collect(settings: CurateSettings, seed: int, folder: Path, progress: Callable[[int], None]) -> Path:
    """Collect synthetic training problems into `folder`/trajectories.jsonl; `progress` receives their number so far.

    Returns the path of the log. Raises UserError if no problem fits the settings.
    """
    path = folder / LOG
    fewest, most = settings.steps
    requests = [synthetic.DatasetRequest(settings.problems, "train", fewest, most, seed, kinds=settings.kinds)]
    more = {synthetic.WORD_PROBLEMS: settings.word_problems, synthetic.SMALL_PROGRAMS: settings.small_programs}
    requests += [
        synthetic.DatasetRequest(problems, "train", fewest, most, seed, task)
        for task, problems in more.items()
        if problems
    ]
    with Log(path) as log:
        existing = read_log(path, TrajectorySet.from_json)
        count = len(existing)
        progress(count)
        new = chain.from_iterable(
            synthetic.collect(request, [item for item in existing if item.problem.origin == request.task])
            for request in requests
        )
        while batch := list(islice(new, WRITE_BATCH)):
            log.add(item.as_json() for item in batch)
            count += len(batch)
            progress(count)
    if count == 0:
        raise UserError("synthetic problems", f"none of {fewest} to {most} steps", "widen curate.steps")
    return path
