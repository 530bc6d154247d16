"""`z1 train`: trains a recipe's model, or prints the pre-flight of a fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import RUNS, AsJson, Overrides, RecipePath, RunsPath, refuse_unused

if TYPE_CHECKING:
    from z1.recipe import Recipe

Preflight = Annotated[bool, typer.Option("--preflight", help="Only print what fine-tuning would do, and check it.")]
Processes = Annotated[
    int | None,
    typer.Option(help="With --preflight: number of training processes.", min=1, show_default="those of this launch"),
]

app = typer.Typer(add_completion=False)


@app.command()
def train(
    context: typer.Context,
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: RunsPath = RUNS,
    preflight: Preflight = False,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Train the model of a recipe; a training that was stopped continues."""
    from z1.cli.stages import load_recipe, run_stages

    if not preflight:
        refuse_unused(context, "without --preflight", {"recipe", "overrides", "runs"})
    chosen = load_recipe(recipe, overrides or ())
    if preflight:
        return print_preflight(chosen, runs, processes, as_json=as_json)
    run_stages(chosen, runs, ("train",))


def print_preflight(recipe: Recipe, folder: Path, processes: int | None = None, *, as_json: bool = False) -> None:
    """Encode the training rows of `recipe` under `folder`, print the pre-flight, and check it."""
    from z1 import pipeline
    from z1.cli.preflight import show
    from z1.cli.progress import show_progress

    with show_progress() as progress:
        prepared = pipeline.prepare(recipe, folder / recipe.name, progress, processes or pipeline.process_rank()[1])
    show(prepared, recipe, as_json=as_json)
    prepared.preflight.check()
