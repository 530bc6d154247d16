"""Which of a problem's trajectories is trained on?

Length follows difficulty, as in the paper's mix of short and long (arXiv 2504.00810, section 2.1): what is simple is
answered at once, most is worked out briefly, the longest in full. The model is never told which. Arms to compare with
take one level for all; a base is taught every level, and the question says which is wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from z1.curate.collect import LOG
from z1.recipe import CurateSettings
from z1.records import TrainingRow, TrajectorySet
from z1.runs import read_lines, write_lines

ROWS = "rows.jsonl"

ASKED = {
    "direct": "Answer at once.",
    "compact": "Be brief.",
    "named": "Be brief and say names.",
    "terse": "Be brief and say names at once.",
    "full": "Work step by step.",
    "long": "Work step by step and check.",
}
"""What stands under a base's question, by level."""


def level(settings: CurateSettings, steps: int, operations: int) -> str:
    """The level of trajectory for a program of `steps` with so many values to work out."""
    if settings.arm not in ("z1", "base"):
        return settings.arm
    if steps <= settings.direct_up_to and operations <= settings.direct_operations:
        return "direct"
    return settings.brief if steps <= settings.compact_up_to else "full"


def select(settings: CurateSettings, folder: Path) -> dict[str, int]:
    """Write `folder`/rows.jsonl from its log; returns how many rows each level has."""
    items = read_lines(folder / LOG, TrajectorySet.from_json)
    rows = [row for item in items for row in (_taught if settings.arm == "base" else _chosen)(settings, item)]
    rows = list(_kept(settings, rows))
    write_lines(folder / ROWS, (row.as_json() for row in rows))
    return dict(sorted(Counter(row.level for row in rows).items()))


def _chosen(settings: CurateSettings, item: TrajectorySet) -> list[TrainingRow]:
    return [_row(item, level(settings, item.problem.steps or 0, item.operations))]


def _taught(settings: CurateSettings, item: TrajectorySet) -> list[TrainingRow]:
    """Rows of different levels, drawn by their shares; most questions say which level is wanted."""
    rng = Random(item.problem.id)
    shares = dict(settings.shares)
    if (item.problem.steps or 0) > settings.direct_up_to:
        shares.pop("direct", None)
    rows = []
    for _ in range(min(settings.each, len(shares))):
        chosen = rng.choices(list(shares), list(shares.values()))[0]
        del shares[chosen]
        asked = "" if rng.random() < settings.unlabelled_share else ASKED[chosen]
        rows.append(_row(item, chosen, asked))
    return rows


def _row(item: TrajectorySet, chosen: str, asked: str = "") -> TrainingRow:
    problem = item.problem
    question = f"{problem.question}\n{asked}" if asked else problem.question
    return TrainingRow(problem.id, question, item.thoughts[chosen], item.answer, chosen, problem.steps)


def _kept(settings: CurateSettings, rows: list[TrainingRow]) -> Iterable[TrainingRow]:
    """The first rows in the wanted order whose responses together have at most `characters`."""
    if not settings.characters:
        return rows
    rows = sorted(rows, key=lambda row: row.id)  # identities are hashes, so that their order is a random one
    if settings.order in ("longest", "shortest"):
        rows.sort(key=lambda row: len(row.thought), reverse=settings.order == "longest")
    total, kept = 0, []
    for row in rows:
        total += len(row.thought) + len(row.answer)
        if total > settings.characters:
            break
        kept.append(row)
    return kept
