"""`z1 report`: one page with the curves of a recipe's run, of evaluation folders, or of other tools' logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from z1.cli.options import RUNS, AsJson, Overrides, RecipeModel, RunsPath, print_json, print_line, refuse_unused

TRANSCRIPTS = 12
"""Replies shown on a page that has no recipe."""

USED = {
    "RECIPE": frozenset({"sources", "overrides", "runs", "model", "as_json"}),
    "FOLDER": frozenset({"sources", "runs", "title", "output_dir", "as_json"}),
}
"""Parameters that each mode uses; others are refused."""

Sources = Annotated[
    list[Path],
    typer.Argument(
        help="Recipe (a file, or a name in the package); or folders of evaluations and logs of other tools, one colour "
        "each.",
        metavar="RECIPE|FOLDER|LOG...",
        show_default=False,
    ),
]
Title = Annotated[str, typer.Option(help="Title of the page for folders and logs.", metavar="TEXT", show_default=False)]
OutputDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the page for folders and logs; runs/report by default.", metavar="FOLDER"),
]

app = typer.Typer(add_completion=False)


@app.command()
def report(
    context: typer.Context,
    sources: Sources,
    overrides: Overrides = None,
    runs: RunsPath = RUNS,
    model: RecipeModel = None,
    title: Title = "",
    output_dir: OutputDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a report: one HTML page that needs no network, and its plots."""
    from z1.cli.stages import load_recipe, run_stages

    is_recipe = len(sources) == 1 and not sources[0].is_dir() and sources[0].suffix in ("", ".toml")
    mode = "RECIPE" if is_recipe else "FOLDER"
    refuse_unused(context, mode, USED[mode])
    if is_recipe:
        run_stages(load_recipe(sources[0], overrides or ()), runs, ("evaluate", "report"), model, as_json=as_json)
        return
    page = report_on(sources, runs, title, output_dir or runs / "report")
    if as_json:
        print_json({"report": str(page)})
    else:
        print_line(f"report in {page}")


def report_on(sources: list[Path], runs: Path, title: str, output_dir: Path) -> Path:
    """The page of evaluation folders and logs, which are imported first; returns its path."""
    from z1 import report as reporting
    from z1.cli.extras import require
    from z1.results import import_log
    from z1.results.tables import evaluations

    require("matplotlib", "report")
    folders = []
    for source in sources:
        if source.is_dir():
            folders += evaluations(source)
        else:
            folder, notes = import_log([source], runs / "imported" / source.stem.partition(".")[0])
            folders.append(folder)
            for note in notes:
                print_line(f"{source}: {note}")
    title = title or ", ".join(source.stem for source in sources)
    return reporting.write(folders, output_dir, title=title, transcripts=TRANSCRIPTS)
