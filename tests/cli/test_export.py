"""`z1 export` writes a table of a run, or a model as a folder."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tests.results.foreign_logs import batch_rows, write_lines
from tests.results.test_importer import GRADED
from z1.cli import export
from z1.models import shipped
from z1.results import import_log


def test_a_run_is_exported(tmp_path: Path) -> None:
    import_log([write_lines(tmp_path / "b.jsonl", batch_rows())], tmp_path / "run", GRADED)
    done = CliRunner().invoke(export.app, [str(tmp_path / "run"), str(tmp_path / "t.csv")])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("6 rows in ") and len((tmp_path / "t.csv").read_text().splitlines()) == 7


def test_a_run_needs_the_name_of_a_table_and_a_model_gets_a_folder(tmp_path: Path) -> None:
    import_log([write_lines(tmp_path / "b.jsonl", batch_rows())], tmp_path / "run", GRADED)
    refused = CliRunner().invoke(export.app, [str(tmp_path / "run"), str(tmp_path / "table")])
    assert "give a name that ends in .csv or .parquet" in str(refused.exception)
    done = CliRunner().invoke(export.app, [str(shipped()), str(tmp_path / "model"), "--precision", "bf16"])
    assert done.exit_code == 0, done.output
    assert done.output.endswith(f" MB of weights in {tmp_path / 'model'}\n")
    assert (tmp_path / "model" / "model.safetensors").is_file()
