"""Which stages make a run, in which order, and what does each hand to the next?

    curate ──rows.jsonl──▶ train ──model/──▶ evaluate ──attempts.jsonl, curve.json──▶ report

Each stage is keyed by its own settings and inputs (see `runs.py`): a finished one is passed over, one that was stopped goes on,
and a changed setting redoes that stage and those after it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from z1 import curate as curating
from z1 import runs
from z1.recipe import Recipe


class Watcher(Protocol):
    """Whoever shows a person how far a stage is; `cli.py` draws bars, tests use `Silent`."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` units begins."""
        ...

    def at(self, done: int, note: str = "") -> None:
        """So many units are done."""
        ...

    def end(self, note: str) -> None:
        """The stage has ended, or had ended before."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def at(self, done: int, note: str = "") -> None:
        """Nothing."""

    def end(self, note: str) -> None:
        """Nothing."""


def curate(recipe: Recipe, run: Path, watch: Watcher) -> Path:
    """Collect and select; returns the rows to train on."""
    settings = {"seed": recipe.seed, **recipe.curate.model_dump(mode="json")}
    stage = runs.stage(run, "curate", settings, {})
    watch.begin("curate", recipe.curate.problems)
    if not stage.done:
        curating.collect(recipe.curate, recipe.seed, stage.folder, lambda count: watch.at(count, "problems"))
        stage.finish({"rows": curating.select(recipe.curate, stage.folder)})
    levels = ", ".join(f"{count:,} {level}" for level, count in stage.results()["rows"].items())
    watch.end(f"{levels} rows in {stage.folder}")
    return stage.folder / curating.ROWS


def train(recipe: Recipe, run: Path, watch: Watcher) -> Path:
    """Train on the run's rows; returns the model folder."""
    from z1 import train as training

    rows = curate(recipe, run, Silent())
    settings = {"seed": recipe.seed, "name": recipe.name, "model": recipe.model.model_dump(mode="json")}
    stage = runs.stage(run, "train", {**settings, "train": recipe.train.model_dump(mode="json")}, {"rows": rows})
    watch.begin("train", 1)
    if not stage.done:
        last: list[training.Progress] = []

        def report(progress: training.Progress) -> None:
            last[:] = [progress]
            if progress.step <= 10:
                watch.begin("train", progress.steps)
            rate = progress.tokens / max(progress.seconds, 1e-9)
            watch.at(progress.step, f"loss {progress.loss:.4f}, {rate:,.0f} tokens/s")

        training.train(recipe, rows, stage.folder, report)
        stage.finish({"loss": last[0].loss, "steps": last[0].steps} if last else {})
    watch.end(f"model in {stage.folder / training.MODEL}")
    return stage.folder / training.MODEL
