"""Which of a problem's trajectories is trained on?

Length follows difficulty, as in the paper's mix of short and long (arXiv 2504.00810, section 2.1): few steps are
answered at once, some are worked out briefly, many in full. The model is never told which.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from z1.curate.collect import LOG
from z1.recipe import CurateSettings
from z1.records import Row, Trajectories
from z1.runs import read_lines, write_lines

ROWS = "rows.jsonl"


def level(settings: CurateSettings, steps: int) -> str:
    """The level of trajectory for a program of `steps`."""
    if steps <= settings.direct_up_to:
        return "direct"
    return "compact" if steps <= settings.compact_up_to else "full"


def select(settings: CurateSettings, folder: Path) -> dict[str, int]:
    """Write `folder`/rows.jsonl from its log, one row a problem; returns how many rows each level has."""
    rows = [_row(settings, item) for item in read_lines(folder / LOG, Trajectories.from_json)]
    write_lines(folder / ROWS, (row.as_json() for row in rows))
    return dict(sorted(Counter(row.level for row in rows).items()))


def _row(settings: CurateSettings, item: Trajectories) -> Row:
    problem = item.problem
    chosen = level(settings, problem.steps or 0)
    return Row(problem.id, problem.question, item.thoughts[chosen], item.answer, chosen, problem.steps)
