"""`z1 study`: several recipes and seeds side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from z1.cli.options import RUNS, AsJson, Overrides, RunsPath, print_json, print_line
from z1.errors import UserError

if TYPE_CHECKING:
    from z1.study import Study

TRANSCRIPTS, DRAWN = 12, 4
"""Replies shown, and arms drawn, in the report of a study."""


StudyPath = Annotated[
    Path,
    typer.Argument(help="Study file, such as experiments/tiny/study.toml.", metavar="STUDY", show_default=False),
]
ReportOnly = Annotated[bool, typer.Option("--report-only", help="Train and evaluate nothing; report what is finished.")]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Work on this run only, such as z1-tiny-seed2; may be repeated.", metavar="RUN"),
]
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
    only: Only = None,
    output_dir: OutputDir = None,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate several recipes and seeds, and compare them; a study that was stopped continues."""
    from z1 import study as studies
    from z1.cli.extras import require
    from z1.cli.progress import show_progress

    require("matplotlib", "report")
    chosen = studies.load(path, overrides or ())
    out = output_dir or runs / chosen.name
    records = out / studies.RECORDS
    print_status = partial(typer.echo, err=as_json)
    print_status(studies.plan(chosen, runs, records))
    if not report_only:
        with show_progress() as progress:
            for done in studies.carry_out(chosen, runs, progress, records, only or ()):
                studies.record(chosen, runs, records, done)
                print_status(studies.plan(chosen, runs, records))
    _report(path, chosen, runs, out, as_json=as_json)


def _report(path: Path, chosen: Study, runs: Path, output_dir: Path, *, as_json: bool) -> None:
    """Write numbers and report of what is finished, and print them or where they are."""
    from z1 import report
    from z1 import study as studies
    from z1.evaluate import ATTEMPTS

    records = output_dir / studies.RECORDS
    found, left = studies.finished(chosen, runs, records)
    if not found:
        raise UserError("finished evaluations", "none", "run the study without --report-only first")
    if not any(index == 0 for _, index in found):
        print_line(f"records: {records}; the page needs the first evaluation of an arm")
        return
    numbers = {"command": f"z1 study {path}", **studies.numbers(chosen, runs, found, records), "not_run": left}
    heads = {arm: paths[0] for (arm, number), paths in found.items() if number == 0 and (paths[0] / ATTEMPTS).is_file()}
    page = runs / chosen.name / "report"
    if heads:  # a record has no replies to show
        names, folders = list(heads)[:DRAWN], list(heads.values())[:DRAWN]
        page = report.write(folders, page, title=chosen.name, transcripts=TRANSCRIPTS, names=names)
    written = studies.write(chosen, runs, numbers, output_dir, found)
    if as_json:
        print_json(numbers)
        return
    print_line(f"numbers: {written}")
    if heads:
        print_line(f"report: {page}")
