"""How does a person watch a plan become a dataset?

Draws the bar of the asking, and says what was paid and where things lie. Holds no rule of curation itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from z1 import benchmarks, dataset_io
from z1.benchmarks import BENCHMARKS
from z1.cli.progress import Bars
from z1.curate import builder, known_datasets, parallel, teacher, teacher_log
from z1.curate import plan as plans
from z1.curate.dataset_statistics import DatasetStatistics
from z1.curate.plan import CheckSettings, Column, CuratePlan, SourceSettings, TeacherSettings, TokenSettings, is_plan
from z1.errors import UserError
from z1.runs import hash_file

__all__ = ["PlanOptions", "bill", "curate", "describe", "fetch", "is_plan"]

RESPONSES = ("response", "output", "completion", "answer", "text")
"""Columns that may hold what is described, the likeliest first."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is carried out: ask its teacher or take the replies that are there; measure here or on Ray; measure
    one shard alone, or take what all shards measured.
    """

    ask: bool = True
    ray: bool = False
    shard: str = ""
    merge: bool = False


def curate(path: Path, runs: Path, how: PlanOptions) -> None:
    """Carry out the plan in `path` under `runs`."""
    plan = known_datasets.resolve(plans.read(path))
    folder = runs / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    built = builder.DatasetBuilder(plan, folder, parallel.on_ray if how.ray else parallel.in_process)
    if how.shard:
        _measure(built, parallel.parse_shard(how.shard), folder)
        return
    if how.merge and (lacking := built.count_incomplete()):
        raise UserError(f"{lacking:,} candidates", "not measured by any shard here", "run the shards that are missing")
    if plan.teacher and how.ask and not how.merge:
        _ask(plan, plan.teacher, folder)
        built = builder.DatasetBuilder(plan, folder, parallel.on_ray if how.ray else parallel.in_process)
    _build(built, folder)


def _measure(built: builder.DatasetBuilder, part: parallel.Shard, folder: Path) -> None:
    with Bars() as watch:
        watch.start(f"shard {part.number}/{part.total}", 1)
        watch.finish(
            f"{built.measure_shard(part):,} candidates in {folder / part.log}; --merge when all {part.total} are there"
        )


def _build(built: builder.DatasetBuilder, folder: Path) -> None:
    with Bars() as watch:
        watch.start("curate", 1)
        made = built.build()
        left = "".join(f"; {count:,} {why}" for why, count in made["dropped"].items())
        counts = f"{made['rows']:,} rows, {made['tokens']:,} tokens, {made['pairs']:,} pairs"
        watch.finish(f"{counts} in {folder / builder.DATASET}{left}")
    for name, why in ((made["decontaminated"] or {}).get("unreadable") or {}).items():
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"not read  {name}: {why}", markup=False)


def fetch(path: Path) -> None:
    """Bring what the plan in `path` needs of the hub to this machine, and print a hash and a path for each file.

    A benchmark that it is compared with and that cannot be had (one is gated) is named, and the others are brought.
    """
    plan = plans.read(path)
    for found in known_datasets.download(plan):
        _say(f"{hash_file(found)}  {found}")
    settings = plan.decontaminate
    for name in (settings.against or tuple(BENCHMARKS)) if settings else ():
        try:
            for found in benchmarks.download(name, settings.data.get(name, "") if settings else ""):
                _say(f"{hash_file(found)}  {found}")
        except UserError as error:
            _say(f"not read  {name}: {error}")


def _say(line: str) -> None:
    Console(soft_wrap=True, highlight=False).print(line, markup=False)


def describe(dataset: Path, tokenizer: str) -> None:
    """Print the statistics of the paper's Table 3 and the trigram profile of any dataset with responses."""
    description = DatasetStatistics()
    columns = next(dataset_io.read(dataset), {})
    plan = CuratePlan(
        name="described",
        source=(SourceSettings(path=str(dataset), columns=_columns(columns, dataset, counted=bool(tokenizer))),),
        tokens=TokenSettings(tokenizer=tokenizer),
        check=CheckSettings(repetition=1),
    )
    with TemporaryDirectory() as folder:
        for one in builder.DatasetBuilder(plan, Path(folder)).candidates():
            description.add(one.response, one.tokens or 0, one.difficulty)
    Console(soft_wrap=True, highlight=False).print(description.markdown(), markup=False)


def _columns(row: dict[str, Any], dataset: Path, *, counted: bool) -> dict[Column, str]:
    """Which columns of a dataset hold the response and, unless it is counted, its tokens."""
    said = next((name for name in RESPONSES if name in row), None)
    if said is None:
        raise UserError(f"dataset {dataset}", f"columns {', '.join(row)}", f"give one with {' or '.join(RESPONSES)}")
    found: dict[Column, str] = {"question": said, "response": said}
    if "difficulty" in row:
        found["difficulty"] = "difficulty"
    if counted:
        return found
    tokens = next((name for name in row if name.startswith("token") and isinstance(row[name], int)), None)
    if tokens is None:
        raise UserError(f"dataset {dataset}", "no column of token counts", "give --tokenizer")
    return {**found, "tokens": tokens}


def _ask(plan: CuratePlan, settings: TeacherSettings, folder: Path) -> None:
    """Ask the teacher, level by level where it raises them; what was paid is said whatever ends it, Ctrl-C included."""
    names = list(settings.levels)
    with teacher_log.TeacherLogWriter(folder) as log, Bars() as watch:
        missing, ended = 0, False
        try:
            for levels in range(1, len(names) + 1) if settings.raise_levels else [len(names)]:
                due = builder.DatasetBuilder(plan, folder)
                watch.start("ask", sum(1 for _ in due.pending_requests(levels)))
                note = f"replies, {names[levels - 1]}" if settings.raise_levels else "replies"
                missing = teacher.request_replies(
                    due.pending_requests(levels), settings, log, partial(watch.update, note=note)
                )
            ended = True
        finally:
            ledger = log.usage(settings.prices)
            rest = "stopped" if not ended else f"{missing:,} missing" if missing else "none missing"
            watch.finish(f"{ledger['replies']:,} replies in {folder / teacher_log.REPLIES}, {rest}")
            Console(stderr=True, soft_wrap=True, highlight=False).print(bill(ledger), markup=False)


def bill(ledger: dict[str, float]) -> str:
    """The ledger of a teacher as a line."""
    again = (
        f"{ledger['repeated_prompt_tokens'] + ledger['repeated_completion_tokens']:,} again for {ledger['repeated']:,}"
    )
    return (
        f"paid      {ledger['prompt_tokens']:,} tokens of prompts, {ledger['completion_tokens']:,} of replies; {again} "
        f"asked in vain, {ledger['lost']:,} of unknown length; {ledger['faults']:,} faults; "
        f"cost {ledger['cost']:,}"
    )
