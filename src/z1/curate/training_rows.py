"""Selection of training rows: one trajectory per problem, so that length follows difficulty.

As in the paper's mix of short and long trajectories (arXiv 2504.00810, section 2.1), the simplest problems are answered
directly, most are worked out briefly and the longest in full; no label tells the model which. Baseline arms use one
level for all problems. A base model learns every level, and the question names the level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from z1.curate.collection import LOG
from z1.recipe import CurateSettings
from z1.records import TrainingRow, TrajectorySet
from z1.runs import read_log, write_lines

ROWS = "rows.jsonl"

LEVEL_PROMPTS = {
    "direct": "Answer at once.",
    "compact": "Be brief.",
    "named": "Be brief and say names.",
    "terse": "Be brief and say names at once.",
    "full": "Work step by step.",
    "long": "Work step by step and check.",
}
"""The line appended to a question of a base model, by level."""


def level(settings: CurateSettings, steps: int, operations: int, kind: str = "") -> str:
    """The trajectory level for a program of `kind` with `steps`, and `operations` values to compute."""
    if settings.level not in ("by_difficulty", "mixed"):
        return settings.level
    is_simple = steps <= settings.direct_up_to and operations <= settings.direct_operations
    if is_simple and kind in (settings.direct_kinds or (kind,)):
        return "direct"
    return settings.brief if steps <= settings.compact_up_to else "full"


def select(settings: CurateSettings, folder: Path) -> dict[str, int]:
    """Write `folder`/rows.jsonl from its log; returns the number of rows of each level."""
    items = read_log(folder / LOG, TrajectorySet.from_json)
    rows = [
        row for item in items for row in (_mixed_rows if settings.level == "mixed" else _single_row)(settings, item)
    ]
    rows = list(_within_characters(settings, rows))
    write_lines(folder / ROWS, (row.as_json() for row in rows))
    return dict(sorted(Counter(row.level for row in rows).items()))


def _single_row(settings: CurateSettings, item: TrajectorySet) -> list[TrainingRow]:
    problem = item.problem
    return [_row(item, level(settings, problem.steps or 0, item.operations, problem.kind))]


def _mixed_rows(settings: CurateSettings, item: TrajectorySet) -> list[TrainingRow]:
    """Rows of different levels, drawn by their shares; most questions name the level."""
    rng = Random(item.problem.id)
    shares = dict(settings.shares)
    if (item.problem.steps or 0) > settings.direct_up_to:
        shares.pop("direct", None)
    rows = []
    for _ in range(min(settings.each, len(shares))):
        chosen = rng.choices(list(shares), list(shares.values()))[0]
        del shares[chosen]
        label = "" if rng.random() < settings.unlabelled_share else LEVEL_PROMPTS[chosen]
        rows.append(_row(item, chosen, label))
    return rows


def _row(item: TrajectorySet, chosen: str, label: str = "") -> TrainingRow:
    problem = item.problem
    question = f"{problem.question}\n{label}" if label else problem.question
    return TrainingRow(problem.id, question, item.thoughts[chosen], item.answer, chosen, problem.steps)


def _within_characters(settings: CurateSettings, rows: list[TrainingRow]) -> Iterable[TrainingRow]:
    """The first rows in the configured order whose responses together have at most `characters`."""
    if not settings.characters:
        return rows
    rows = sorted(rows, key=lambda row: row.id)  # ids are hashes, so this order is random
    if settings.order in ("longest", "shortest"):
        rows.sort(key=lambda row: len(row.thought), reverse=settings.order == "longest")
    total, selected = 0, []
    for row in rows:
        total += len(row.thought) + len(row.answer)
        if total > settings.characters:
            break
        selected.append(row)
    return selected
