"""`z1 export`: the attempts of a run as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from z1.cli.options import print_line

RunFolder = Annotated[Path, typer.Argument(help="Run, or evaluation in it.", metavar="RUN", show_default=False)]
TableFile = Annotated[Path, typer.Argument(help="File to write: .csv or .parquet.", metavar="FILE", show_default=False)]

app = typer.Typer(add_completion=False)


@app.command()
def export(run: RunFolder, file: TableFile) -> None:
    """Export the attempts of a run to CSV or Parquet: one row per attempt, with counts, verdict and texts."""
    from z1.results import write_table

    print_line(f"{write_table(run, file):,} rows in {file}")
