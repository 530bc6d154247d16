"""`z1 report`: one page with the curves of a recipe's run, and plots."""

from __future__ import annotations

import typer

from z1.cli.options import RUNS, AsJson, ModelName, RecipePath, RunsPath

app = typer.Typer(add_completion=False)


@app.command()
def report(recipe: RecipePath, runs: RunsPath = RUNS, model: ModelName = None, as_json: AsJson = False) -> None:
    """Write the report of a recipe: one HTML page that needs no network, and its plots."""
    from z1.cli.stages import run_stages

    run_stages(recipe, runs, ("evaluate", "report"), model, as_json=as_json)
