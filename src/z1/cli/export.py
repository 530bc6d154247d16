"""`z1 export`: the attempts of a run as a table, or a model as a folder of safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from z1.cli.options import print_line

Source = Annotated[
    str,
    typer.Argument(
        help="Run, or evaluation in it; or a model: adapter, GGUF file, folder, hub id.",
        metavar="RUN|MODEL",
        show_default=False,
    ),
]
Target = Annotated[
    Path,
    typer.Argument(
        help="Of a run: file to write, .csv or .parquet. Of a model: folder to make.",
        metavar="FILE|FOLDER",
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Precision of the model's weights, bf16 or float32; as z1 loads them by default.", show_default=False
    ),
]

app = typer.Typer(add_completion=False)


@app.command()
def export(source: Source, target: Target, precision: Precision = None) -> None:
    """Export the attempts of a run to CSV or Parquet (one row per attempt), or a model to a folder of safetensors."""
    if target.suffix in (".csv", ".parquet") or _is_run(Path(source)):
        from z1.results import write_table

        print_line(f"{write_table(source, target):,} rows in {target}")
        return
    from z1.model_files.plain_folder import write_folder

    print_line(f"{write_folder(source, target, precision) / 1e6:,.0f} MB of weights in {target}")


def _is_run(folder: Path) -> bool:
    """Whether it is a folder without model files."""
    names = ("config.json", "adapter_config.json", "*.gguf")
    return folder.is_dir() and not any(found for name in names for found in folder.glob(name))
