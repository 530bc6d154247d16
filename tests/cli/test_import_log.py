"""`z1 import` reads a log, says what it understood, and writes an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.results.foreign_logs import batch_rows, lm_eval_rows, write_lines
from z1.cli import import_log, report
from z1.cli.import_log import parse_columns
from z1.errors import UserError
from z1.models import shipped


def test_a_log_is_imported_and_drawn(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "samples.jsonl", lm_eval_rows())
    command = [str(path), "--tokenizer", str(shipped()), "--runs", str(tmp_path), "--model-name", "r1"]
    done = CliRunner().invoke(import_log.app, command)
    assert done.exit_code == 0, done.output
    assert "format: samples of lm-eval" in done.output and "r1 on 4 problems of samples" in done.output
    folder = tmp_path / "imported" / "samples"
    drawn = CliRunner().invoke(report.app, [str(folder), "--runs", str(tmp_path), "--title", "foreign", "--json"])
    assert drawn.exit_code == 0, drawn.output
    page = Path(json.loads(drawn.output)["report"])
    assert page == tmp_path / "report" / "index.html" and "r1" in page.read_text("utf-8")


def test_a_benchmark_grades_by_problem_id(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "out.jsonl", batch_rows())
    data = write_lines(tmp_path / "gsm8k.jsonl", [{"question": "q", "answer": f"so #### {n}"} for n in range(5)])
    path.write_text(path.read_text().replace('"custom_id": "', '"custom_id": "gsm8k/'), "utf-8")
    command = [str(path), "--grade-with", "gsm8k", "--data", str(data), "--runs", str(tmp_path), "--json"]
    done = CliRunner().invoke(import_log.app, command)
    assert done.exit_code == 0, done.exception
    (point,) = json.loads(done.output)["points"]
    assert (point["accuracy"][1], point["n"], point["missing"]) == (1.0, 5, 1)


def test_columns() -> None:
    assert parse_columns(["verdict=is_ok", "answer=a=b"]) == {"verdict": "is_ok", "answer": "a=b"}
    for wrong in ("verdict", "=x", "verdict="):
        with pytest.raises(UserError, match="FIELD=COLUMN"):
            parse_columns([wrong])
