"""`z1 study`: several recipes and seeds side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import RUNS, AsJson, Overrides, RunsPath, print_json, print_line

if TYPE_CHECKING:
    from z1.study import Study

TRANSCRIPTS, DRAWN = 12, 4
"""Replies shown, and arms drawn, in the report of a study."""


StudyPath = Annotated[
    Path,
    typer.Argument(help="Study file, such as experiments/tiny/study.toml.", metavar="STUDY", show_default=False),
]
ReportOnly = Annotated[bool, typer.Option("--report-only", help="Train and evaluate nothing; report what is finished.")]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder for page, plots, numbers and manifests.", metavar="FOLDER", show_default="the study's run"
    ),
]

app = typer.Typer(add_completion=False)


@app.command()
def study(
    path: StudyPath,
    overrides: Overrides = None,
    runs: RunsPath = RUNS,
    report_only: ReportOnly = False,
    output_dir: OutputDir = None,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate several recipes and seeds, and compare them; a study that was stopped continues."""
    from z1 import study as studies
    from z1.cli.extras import require
    from z1.cli.progress import show_progress

    require("matplotlib", "report")
    chosen = studies.load(path, overrides or ())
    print_status = partial(typer.echo, err=as_json)
    print_status(studies.plan(chosen, runs))
    if not report_only:
        with show_progress() as progress:
            for _ in studies.carry_out(chosen, runs, progress):
                print_status(studies.plan(chosen, runs))
    _report(path, chosen, runs, output_dir or runs / chosen.name, as_json=as_json)


def _report(path: Path, chosen: Study, runs: Path, output_dir: Path, *, as_json: bool) -> None:
    """Write numbers and report of what is finished, and print them or where they are."""
    from z1 import report
    from z1 import study as studies

    found, left = studies.finished(chosen, runs)
    numbers = {"command": f"z1 study {path}", **studies.numbers(chosen, runs, found), "not_run": left}
    heads = [paths[0] for (_, number), paths in found.items() if number == 0][:DRAWN]
    page = report.write(heads, runs / chosen.name / "report", title=chosen.name, transcripts=TRANSCRIPTS)
    written = studies.write(chosen, runs, numbers, output_dir)
    if as_json:
        print_json(numbers)
        return
    print_line(f"numbers: {written}")
    print_line(f"report: {page}")
