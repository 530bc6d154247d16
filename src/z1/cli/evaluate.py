"""`z1 evaluate`: a recipe's model, or the given models of a comparison, at every thinking budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from z1.cli.options import (
    RUNS,
    AsJson,
    DownloadOnly,
    Overrides,
    RecipeModel,
    RunsPath,
    print_json,
    print_line,
    refuse_unused,
)

USED = {
    "RECIPE": frozenset({"recipe", "overrides", "runs", "model", "as_json"}),
    "COMPARISON": frozenset({"recipe", "overrides", "runs", "as_json"}),
    "RECIPE --download-only": frozenset({"recipe", "overrides", "download_only", "model"}),
    "COMPARISON --download-only": frozenset({"recipe", "overrides", "download_only"}),
}
"""Parameters that each mode uses; others are refused."""


RecipeOrComparison = Annotated[
    Path,
    typer.Argument(
        help="Recipe (a file, or a name in the package), or a comparison of given models.",
        metavar="RECIPE|COMPARISON",
        show_default=False,
    ),
]

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    context: typer.Context,
    recipe: RecipeOrComparison,
    overrides: Overrides = None,
    runs: RunsPath = RUNS,
    model: RecipeModel = None,
    download_only: DownloadOnly = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate models at every thinking budget, from one generation per problem, and print accuracy against tokens."""
    from z1.cli.stages import load_recipe, run_stages
    from z1.comparison import is_comparison

    compared = is_comparison(recipe)
    mode = ("COMPARISON" if compared else "RECIPE") + " --download-only" * download_only
    refuse_unused(context, mode, USED[mode])
    changes = overrides or ()
    if download_only:
        download(recipe, changes, model)
    elif compared:
        compare_models(recipe, changes, runs, as_json=as_json)
    else:
        run_stages(load_recipe(recipe, changes), runs, ("evaluate",), model, as_json=as_json)


def compare_models(path: Path, overrides: Sequence[str], folder: Path, *, as_json: bool = False) -> None:
    """Evaluate the models of the comparison in `path` under `folder`; print every curve and every difference."""
    from z1 import comparison, runs
    from z1.cli.compare import print_comparison
    from z1.cli.extras import require
    from z1.cli.progress import show_progress
    from z1.cli.stages import curve_table

    require("matplotlib", "report")
    chosen = comparison.load(path, overrides)
    comparison.check(chosen)
    done: comparison.EvaluationFolders = {}
    with show_progress() as progress:
        for so_far in comparison.carry_out(chosen, folder, progress):
            done = so_far
    written = comparison.write(chosen, folder, done)
    numbers = runs.read_json(written)
    if as_json:
        print_json(numbers)
        return
    for found in done.values():
        curve_table(found).print()
    for one in numbers["evaluations"]:
        for name, compared in one["comparisons"].items():
            print_comparison(f"{name} less {one['reference']} on {one['benchmark']}", compared)
    print_line(f"numbers: {written}")
    print_line(f"reports: {written.parent / 'report'}")


def download(path: Path, overrides: Sequence[str], model: str | None) -> None:
    """Download what the recipe or comparison in `path` evaluates with; print a hash and a path for each file."""
    from z1 import benchmarks, comparison, runs
    from z1 import recipe as recipes

    if comparison.is_comparison(path):
        compared = comparison.load(path, overrides)
        data = dict.fromkeys((one.benchmark, one.data) for one in compared.evaluate)
        found = [file for name, given in data for file in benchmarks.download(name, given)]
        found += [benchmarks.model_folder(one.path) for one in compared.models.values()]
    else:
        chosen = recipes.load(path, overrides).evaluate
        found = benchmarks.download(chosen.benchmark, chosen.data, model or "")
    for file in found:
        print_line(f"{runs.hash_file(file)}  {file}")
