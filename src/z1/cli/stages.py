"""Runs stages of a recipe's pipeline with progress, and prints the curve that they end with."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from z1 import pipeline, runs
from z1 import recipe as recipes
from z1.cli import preflight
from z1.cli.extras import require
from z1.cli.options import print_json
from z1.cli.progress import show_progress
from z1.cli.tables import ResultTable, budget_cell, interval_cell
from z1.recipe import Recipe

ALL = ("train", "evaluate", "report")
"""The stages of `z1 run`; a stage runs those before it."""

COLUMNS = (
    *("thinking budget", "accuracy %", "thinking tokens", "all tokens"),
    *("shifted", "cut", "unparsed", "missing"),
)
"""Columns of a curve, from left to right."""

PRIORITY = ("accuracy %", "thinking tokens", "shifted", "cut", "all tokens", "missing", "unparsed")
"""The same from the most to the least important."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in `path`, or of that name, with `overrides`, checked as far as that takes no time."""
    recipe = recipes.load(path, overrides)
    pipeline.check(recipe)
    return recipe


def run_stages(
    recipe: Recipe, folder: Path, stages: Container[str], model: str | None = None, *, as_json: bool = False
) -> None:
    """Run `stages` of `recipe`, and those they need, under `folder`; print the curve if there is one.

    `model` is evaluated in the place of the recipe's own. With `as_json` the curve is one JSON document.
    """
    if "report" in stages:
        require("matplotlib", "report")  # before hours of training
    run = folder / recipe.name
    numbers = page = None
    with show_progress() as progress:
        if "curate" in stages:
            pipeline.curate(recipe, run, progress)
        if "train" in stages:
            train = pipeline.train_apart if "evaluate" in stages else pipeline.train
            train(recipe, run, progress, partial(preflight.show, recipe=recipe))
        if "evaluate" in stages:
            numbers = pipeline.evaluate(recipe, run, progress, model)
        if "report" in stages and numbers:
            page = pipeline.report(recipe, run, progress, numbers)
    if numbers and as_json:
        print_json(curve_json(numbers) | ({"report": str(page)} if page else {}))
    elif numbers:
        curve_table(numbers).print()


def curve_json(folder: Path) -> dict[str, Any]:
    """The numbers of an evaluation folder, and the folder."""
    return {"folder": str(folder), **runs.read_json(folder / "curve.json", "points")}


def curve_table(folder: Path) -> ResultTable:
    """The numbers of an evaluation folder, a row for each thinking budget."""
    numbers = runs.read_json(folder / "curve.json", "points")
    pass_at = max(numbers["points"][0].get("pass_at", ()), key=int, default="")
    found = ResultTable(
        f"{numbers['model']} on {numbers['problems']} problems of {numbers['benchmark']}",
        [*COLUMNS, *([f"pass@{pass_at} %"] if pass_at else [])],
        PRIORITY,
        f"95 % intervals; run {numbers['run']}",
    )
    for point in numbers["points"]:
        found.add(*_cells(point, pass_at))
    return found


def _cells(point: dict[str, Any], pass_at: str) -> list[str]:
    passes = [f"{100 * point['pass_at'][pass_at]:.1f}" if "pass_at" in point else "-"] if pass_at else []
    return [
        budget_cell(point["thinking_budget"]),
        interval_cell(point["accuracy"], scale=100),
        _mean_cell(point["thinking_tokens"]),
        _mean_cell(point["paid_tokens"]),
        *(f"{point[key]:.0%}" for key in ("shifted", "cut", "unparsed")),
        str(point["missing"]),
        *passes,
    ]


def _mean_cell(interval: list[float]) -> str:
    return f"{interval[1]:.1f} ±{(interval[2] - interval[0]) / 2:.1f}"
