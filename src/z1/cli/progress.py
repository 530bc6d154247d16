"""How does a person watch a run, and read its numbers?

Draws the bars that `story.py` asks for, prints the table of a curve, and tells the demo.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from z1 import benchmarks, comparison, pipeline, report, runs
from z1 import recipe as recipes
from z1 import study as studies
from z1.cli import train
from z1.generation import GenerationOptions
from z1.models import LONG, SHIPPED, shipped
from z1.recipe import EvaluateSettings, Recipe
from z1.synthetic import tracer

DEMO = EvaluateSettings(problems=180, thinking_budgets=(0, 16, 32, 64, 128, 256), max_answer_tokens=24, concurrency=64)

TRANSCRIPTS, DRAWN = 12, 4
"""Replies shown, and arms drawn, in the report of a study."""

EASY = "print(3 + 4)\n"
HARD = "v = [3, 1, 4]\ns = 1\nfor x in v:\n    if x > 2:\n        s = s + x\nprint(s)\n"


def stage(name: str, path: Path, folder: Path, model: str | None) -> None:
    """Do the stage `name` of the recipe in `path`, and what it needs, under `folder`; "run" does all."""
    recipe = recipes.load(path)
    pipeline.check(recipe)
    run = folder / recipe.name
    with watching() as watch:
        if name == "curate":
            pipeline.curate(recipe, run, watch)
        if name in ("train", "run"):
            pipeline.train(recipe, run, watch, lambda prepared: train.show(prepared, recipe))
        if name in ("evaluate", "report", "run"):
            numbers = pipeline.evaluate(recipe, run, watch, model)
        if name in ("report", "run"):
            pipeline.report(recipe, run, watch, numbers)
    if name in ("evaluate", "report", "run"):
        Console().print(table(numbers))


def preflight(path: Path, folder: Path, processes: int | None) -> None:
    """Encode what the recipe in `path` learns from under `folder`, print the pre-flight, and refuse what it refuses."""
    recipe = recipes.load(path)
    pipeline.check(recipe)
    with watching() as watch:
        prepared = pipeline.prepare(recipe, folder / recipe.name, watch, processes or pipeline.process_rank()[1])
    train.show(prepared, recipe)
    prepared.preflight.check()


def watching() -> AbstractContextManager[pipeline.ProgressReporter]:
    """Bars in the process that builtin_question, silence in others that train beside it."""
    return nullcontext(pipeline.NoProgress()) if pipeline.process_rank()[0] else Bars()


def study(path: Path, folder: Path, *, done: bool = False, into: Path | None = None) -> None:
    """Carry out the study in `path` under `folder`: say what it takes, then train, evaluate and compare.

    With `done` only what is there already is compared. Numbers, page, pictures and manifests go `into` a folder, the
    study's own if none is given.
    """
    chosen = studies.load(path)
    run = folder / chosen.name
    console = Console(soft_wrap=True, highlight=False)
    console.print(studies.plan(chosen, folder), markup=False)
    if not done:
        with Bars() as watch:
            for _ in studies.carry_out(chosen, folder, watch):
                console.print(studies.plan(chosen, folder), markup=False)
    found, left = studies.finished(chosen, folder)
    command = f"z1 study {path}"
    numbers = {"command": command, **studies.numbers(chosen, folder, found), "not_run": left}
    heads = [paths[0] for (_, number), paths in found.items() if number == 0][:DRAWN]
    page = report.write(heads, run / "report", title=chosen.name, transcripts=TRANSCRIPTS)
    written = studies.write(chosen, folder, numbers, into or run)
    console.print(f"numbers: {written}\nreport: {page}", markup=False)


def fetch(path: Path, model: str | None) -> None:
    """Bring what the recipe or comparison in `path` evaluates with to this machine; print a hash and a path for each
    file.
    """
    if comparison.is_comparison(path):
        compared = comparison.load(path)
        asked = dict.fromkeys((one.benchmark, one.data) for one in compared.evaluate)
        found = [file for name, data in asked for file in benchmarks.download(name, data)]
        found += [benchmarks.model_folder(one.path) for one in compared.models.values()]
    else:
        chosen = recipes.load(path).evaluate
        found = benchmarks.download(chosen.benchmark, chosen.data, model or "")
    for file in found:
        Console().print(f"{runs.hash_file(file)}  {file}", soft_wrap=True, highlight=False)


def demo(folder: Path) -> None:
    """Two thoughts of the shipped model, one of them stopped by a window; then its curve beside that of the model that
    was taught to think at length.
    """
    from z1.cli import think

    console = Console()
    for text, window in ((EASY, None), (HARD, None), (HARD, 40)):
        console.rule(f"window {'free' if window is None else window}", align="left")
        console.print(text, end="", markup=False, highlight=False)
        console.print(f"(Python prints {_printed(text)}.)", style="cyan")
        think.think(text, None, None, GenerationOptions(thinking_budget=window), as_json=False)
    with Bars() as watch:
        models = [shipped(name) for name in (SHIPPED, LONG)]
        numbers = [pipeline.evaluate(_demo_recipe(model), folder / "demo", watch, model) for model in models]
    for one in numbers:
        console.print(table(one))
    page = report.write(numbers, folder / "demo" / "report", title="z1 beside long", transcripts=TRANSCRIPTS)
    console.print(f"report: {page}", soft_wrap=True, highlight=False)


def _printed(program: str) -> str:
    ran = tracer.trace(program, 100)
    return ran.printed if ran else "nothing"


def table(folder: Path) -> Table:
    """The numbers of an evaluation folder, a row a window."""
    numbers = runs.read_json(folder / "curve.json")
    what = f"{numbers['model']} on {numbers['problems']} problems of {numbers['benchmark']}"
    shown = Table(
        title=what,
        caption=f"95 % intervals; run {numbers['run']}",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    drawn = max(numbers["points"][0].get("pass_at", ()), key=int, default="")
    headings = ("window", "accuracy %", "thought", "all ids", "shifted", "cut", "unread", "miss")
    for heading in (*headings, *([f"pass@{drawn} %"] if drawn else [])):
        shown.add_column(heading, justify="right", no_wrap=True)
    for point in numbers["points"]:
        low, value, high = point["accuracy"]
        accuracy = f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        shares = (f"{point[key]:.0%}" for key in ("shifted", "cut", "unparsed"))
        window = "free" if point["thinking_budget"] is None else str(point["thinking_budget"])
        passes = [f"{100 * point['pass_at'][drawn]:.1f}"] if drawn and "pass_at" in point else []
        ids = (_interval(point["thought"]), _interval(point["paid"]))
        shown.add_row(window, accuracy, *ids, *shares, str(point["missing"]), *passes)
    return shown


def _interval(value: list[float]) -> str:
    return f"{value[1]:.1f} ±{(value[2] - value[0]) / 2:.1f}"


def _demo_recipe(model: Path) -> Recipe:
    """A shipped model's own recipe, with the demo's smaller evaluation of problems that are the same for all."""
    own = runs.read_json(model / "z1.json")["recipe"]
    return Recipe.model_validate({**own, "seed": 0, "evaluate": DEMO}, strict=False)


class Bars:
    """A `pipeline.ProgressReporter` that draws a bar a stage on a terminal, and a line a stage elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        bar = (TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._progress = Progress(*bar, *times, console=self._console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("", total=None, note="", visible=False)
        self._stage = ""

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, stage: str, total: int) -> None:
        """Start the stage's bar, or give it its total."""
        self._stage = stage
        self._progress.reset(self._task, total=total, description=stage, note="", visible=True)

    def update(self, done: int, note: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, note=note)

    def finish(self, note: str) -> None:
        """Replace the bar by a line that stays."""
        self._progress.update(self._task, visible=False)
        self._console.print(f"{self._stage:<9} {note}", markup=False)
