"""`z1 curate`: a dataset from a recipe or a plan of sources and a teacher, or the statistics of a dataset.

Shows progress, prints what the teacher cost and where files are. Holds no rule of curation itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from z1.cli.options import (
    RUNS,
    AsJson,
    DownloadOnly,
    Overrides,
    RunsPath,
    print_json,
    print_line,
    refuse_unused,
)
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.curate.builder import DatasetBuilder
    from z1.curate.dataset_statistics import DatasetStatistics
    from z1.curate.plan import CuratePlan, TeacherSettings
    from z1.pipeline import ProgressReporter

RESPONSES = ("response", "output", "completion", "answer", "text")
"""Columns that may hold the response, the most likely first."""

USED = {
    "--describe": frozenset({"describe", "tokenizer", "as_json"}),
    "--download-only": frozenset({"recipe", "overrides", "download_only"}),
    "--shard": frozenset({"recipe", "overrides", "runs", "shard", "ray"}),
    "--merge": frozenset({"recipe", "overrides", "runs", "merge"}),
    "--no-teacher": frozenset({"recipe", "overrides", "runs", "no_teacher", "ray"}),
    "PLAN": frozenset({"recipe", "overrides", "runs", "ray"}),
    "RECIPE": frozenset({"recipe", "overrides", "runs"}),
}
"""Parameters that each mode uses; others are refused."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is carried out: with requests to its teacher or without, in this process or on Ray, one shard only, or
    from what all shards measured.
    """

    teacher: bool = True
    ray: bool = False
    shard: str = ""
    merge: bool = False


RecipeOrPlan = Annotated[
    Path | None,
    typer.Argument(
        help="Recipe (a file, or a name in the package), or a plan of sources.",
        metavar="RECIPE|PLAN",
        show_default=False,
    ),
]
NoTeacher = Annotated[
    bool, typer.Option("--no-teacher", help="Send no requests to the plan's teacher; use the logged replies.")
]
Describe = Annotated[
    Path | None,
    typer.Option(help="Print statistics of this dataset instead.", metavar="DATASET", show_default=False),
]
Tokenizer = Annotated[
    str,
    typer.Option(
        help="With --describe: tokenizer that counts tokens.",
        metavar="MODEL",
        show_default="the dataset's own counts",
    ),
]
OnRay = Annotated[bool, typer.Option("--ray", help="Measure a plan's candidates on a Ray cluster.")]
Shard = Annotated[
    str, typer.Option(help="Measure only this shard of a plan's candidates, such as 1/4.", metavar="N/OF")
]
Merge = Annotated[bool, typer.Option("--merge", help="Build a plan's dataset from measured shards.")]

app = typer.Typer(add_completion=False)


@app.command()
def curate(
    context: typer.Context,
    recipe: RecipeOrPlan = None,
    overrides: Overrides = None,
    runs: RunsPath = RUNS,
    no_teacher: NoTeacher = False,
    describe: Describe = None,
    tokenizer: Tokenizer = "",
    download_only: DownloadOnly = False,
    ray: OnRay = False,
    shard: Shard = "",
    merge: Merge = False,
    as_json: AsJson = False,
) -> None:
    """Curate training rows: verified problems with short and long reasoning, by a recipe or by a plan of sources."""
    modes = {
        "--describe": describe is not None,
        "--download-only": download_only,
        "--shard": bool(shard),
        "--merge": merge,
        "--no-teacher": no_teacher,
    }
    mode = next((name for name, chosen in modes.items() if chosen), "")
    if mode:
        refuse_unused(context, mode, USED[mode])
    if describe is not None:
        return print_statistics(describe, tokenizer, as_json=as_json)
    if recipe is None:
        raise UserError("z1 curate", "no recipe", "give a recipe, a plan, or --describe DATASET")
    _curate(context, recipe, runs, mode, PlanOptions(not no_teacher, ray, shard, merge))


def _curate(context: typer.Context, path: Path, runs: Path, mode: str, options: PlanOptions) -> None:
    from z1.cli.stages import load_recipe, run_stages
    from z1.curate import plan as plans

    overrides = context.params["overrides"] or ()
    if mode == "--download-only":
        download(plans.read(path, overrides))
    elif plans.is_plan(path):
        refuse_unused(context, mode or "PLAN", USED[mode or "PLAN"])
        carry_out(plans.read(path, overrides), runs, options)
    else:
        refuse_unused(context, "RECIPE", USED["RECIPE"])
        run_stages(load_recipe(path, overrides), runs, ("curate",))


def carry_out(plan: CuratePlan, runs: Path, options: PlanOptions) -> None:
    """Carry out `plan` under `runs`."""
    from z1.cli.progress import show_progress
    from z1.curate import known_datasets

    plan = known_datasets.resolve(plan)
    folder = runs / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with show_progress() as progress:
        if options.shard:
            return _measure_shard(_builder(plan, folder, options), options.shard, folder, progress)
        if options.merge and (incomplete := _builder(plan, folder, options).count_incomplete()):
            raise UserError(f"{incomplete:,} candidates", "no measurement by any shard", "run the missing shards")
        if plan.teacher and options.teacher and not options.merge:
            _request_replies(plan, plan.teacher, folder, progress)
        _build(_builder(plan, folder, options), folder, progress)


def _builder(plan: CuratePlan, folder: Path, options: PlanOptions) -> DatasetBuilder:
    from z1.curate import builder, parallel

    return builder.DatasetBuilder(plan, folder, parallel.on_ray if options.ray else parallel.in_process)


def _measure_shard(builder: DatasetBuilder, shard: str, folder: Path, progress: ProgressReporter) -> None:
    from z1.curate.parallel import parse_shard

    part = parse_shard(shard)
    measured = builder.measure_shard(part, progress_updates(progress, "measure", ""))
    progress.start(f"shard {part.number}/{part.total}", measured)
    progress.finish(f"{measured:,} candidates in {folder / part.log}; --merge when all {part.total} are there")


def progress_updates(progress: ProgressReporter, reading: str, writing: str) -> Callable[[int, int], None]:
    """A listener for `DatasetBuilder`; the stage is called `reading` while the number of candidates is not known."""
    started: set[int] = set()

    def update(done: int, total: int) -> None:
        if total not in started:
            started.add(total)
            progress.start(writing if total else reading, total)
        progress.update(done, "candidates")

    return update


def _build(built: DatasetBuilder, folder: Path, progress: ProgressReporter) -> None:
    from z1.curate.builder import DATASET

    made = built.build(progress_updates(progress, "filter", "write"))
    progress.start("curate", made["candidates"])
    dropped = "".join(f"; {count:,} {why}" for why, count in made["dropped"].items())
    counts = f"{made['rows']:,} rows, {made['tokens']:,} tokens, {made['pairs']:,} pairs"
    progress.finish(f"{counts} in {folder / DATASET}{dropped}")
    if files := made["held_out_files"]:
        typer.echo(f"held out  {', '.join(files)}: not read; name a file or its split to use it", err=True)
    for name, why in ((made["decontaminated"] or {}).get("unreadable") or {}).items():
        typer.echo(f"not read  {name}: {why}", err=True)


def _request_replies(plan: CuratePlan, settings: TeacherSettings, folder: Path, progress: ProgressReporter) -> None:
    """Request the teacher's replies, level by level if the plan says so; the cost is printed even after Ctrl-C."""
    from z1.curate import builder, teacher, teacher_log

    names = list(settings.levels)
    with teacher_log.TeacherLogWriter(folder) as log:
        missing, ended = 0, False
        try:
            for levels in range(1, len(names) + 1) if settings.raise_levels else [len(names)]:
                due = builder.DatasetBuilder(plan, folder)
                progress.start("teacher", sum(1 for _ in due.pending_requests(levels)))
                note = f"replies, {names[levels - 1]}" if settings.raise_levels else "replies"
                on_reply = partial(progress.update, note=note)
                missing = teacher.request_replies(due.pending_requests(levels), settings, log, on_reply)
            ended = True
        finally:
            usage = log.usage(settings.prices)
            rest = "stopped" if not ended else f"{missing:,} missing" if missing else "none missing"
            progress.finish(f"{usage['replies']:,} replies in {folder / teacher_log.REPLIES}, {rest}")
            typer.echo(usage_line(usage), err=True)


def usage_line(usage: dict[str, float]) -> str:
    """The tokens and the cost of a teacher as a line."""
    again = f"{usage['repeated_prompt_tokens'] + usage['repeated_completion_tokens']:,} of {usage['repeated']:,}"
    unknown = usage["lost"] + usage["uncounted"]
    return (
        f"cost      {usage['cost']:,}; {usage['prompt_tokens']:,} prompt tokens, {usage['completion_tokens']:,} "
        f"completion tokens, {again} repeated requests, {unknown:,} replies of unknown length, "
        f"{usage['faults']:,} faults"
    )


def download(plan: CuratePlan) -> None:
    """Download the hub's files that `plan` needs; print a hash and a path for each.

    A benchmark of its decontamination that is not available (one is gated) is named, and the others are downloaded.
    """
    from z1 import benchmarks
    from z1.curate import known_datasets
    from z1.runs import hash_file

    for found in known_datasets.download(plan):
        print_line(f"{hash_file(found)}  {found}")
    settings = plan.decontaminate
    for name in (settings.against or tuple(benchmarks.BENCHMARKS)) if settings else ():
        try:
            for found in benchmarks.download(name, settings.data.get(name, "") if settings else ""):
                print_line(f"{hash_file(found)}  {found}")
        except UserError as error:
            print_line(f"not read  {name}: {error}")


def print_statistics(dataset: Path, tokenizer: str, *, as_json: bool = False) -> None:
    """Print the statistics of the paper's Table 3 and the trigram profile of any dataset with responses."""
    found = statistics_of(dataset, tokenizer)
    if as_json:
        histogram = [{"from": low, "to": high, "rows": rows} for low, high, rows in found.histogram()]
        content = {"dataset": str(dataset), **_length_numbers(found.sizes), "difficulties": found.difficulties()}
        print_json({**content, "histogram": histogram, "trigrams": dict(found.top_trigrams())})
    else:
        print_line(found.markdown())


def _length_numbers(lengths: list[int]) -> dict[str, Any]:
    """Rows, tokens, and the distribution of tokens per row."""
    if not lengths:
        return {"rows": 0, "tokens": 0}
    quartiles = quantiles(lengths, n=4, method="inclusive") if len(lengths) > 1 else lengths * 3
    total = {"rows": len(lengths), "tokens": sum(lengths), "mean": sum(lengths) / len(lengths)}
    return {**total, "min": min(lengths), "quartiles": quartiles, "max": max(lengths)}


def statistics_of(dataset: Path, tokenizer: str) -> DatasetStatistics:
    """The statistics of any dataset with a column of responses, counted by `tokenizer` or by its own counts."""
    from z1 import dataset_io
    from z1.curate.builder import DatasetBuilder
    from z1.curate.dataset_statistics import DatasetStatistics
    from z1.curate.plan import CheckSettings, CuratePlan, SourceSettings, TokenSettings

    if not dataset.exists():
        raise UserError("dataset", f"no such file: {dataset}", "give a folder or a file")
    columns = _columns(next(dataset_io.read(dataset), {}), dataset, is_counted=bool(tokenizer))
    plan = CuratePlan(
        name="described",
        source=(SourceSettings(path=str(dataset), columns=columns),),
        tokens=TokenSettings(tokenizer=tokenizer),
        check=CheckSettings(repetition=1),
    )
    found = DatasetStatistics()
    with TemporaryDirectory() as folder:
        for one in DatasetBuilder(plan, Path(folder)).candidates():
            found.add(one.response, one.tokens or 0, one.difficulty)
    return found


def _columns(row: dict[str, Any], dataset: Path, *, is_counted: bool) -> dict[str, str]:
    """The columns of a dataset that hold the response and, unless a tokenizer counts, its tokens."""
    response = next((name for name in RESPONSES if name in row), None)
    if response is None:
        raise UserError(f"dataset {dataset}", f"columns {', '.join(row)}", f"give one with {' or '.join(RESPONSES)}")
    found: dict[str, str] = {"question": response, "response": response}
    if "difficulty" in row:
        found["difficulty"] = "difficulty"
    if is_counted:
        return found
    tokens = next((name for name in row if name.startswith("token") and isinstance(row[name], int)), None)
    if tokens is None:
        raise UserError(f"dataset {dataset}", "no column of token counts", "give --tokenizer")
    return {**found, "tokens": tokens}
