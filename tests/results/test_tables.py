"""A run as a table: the same rows as a frame, as CSV and as Parquet."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest

from tests.results.foreign_logs import batch_rows, write_lines
from tests.results.test_importer import GRADED
from z1 import results
from z1.errors import UserError
from z1.results.tables import COLUMNS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    results.import_log([write_lines(tmp_path / "b.jsonl", batch_rows())], tmp_path / "run", GRADED)
    return tmp_path / "run"


def test_a_frame_has_a_row_per_attempt(run: Path) -> None:
    frame = results.frame(run)
    assert list(frame.columns) == list(COLUMNS) and len(frame) == 6
    missing = frame[frame.verdict == "missing"].iloc[0]
    assert pandas.isna(missing.right) and missing.thinking_tokens == 0
    known = frame[frame.verdict != "missing"]
    assert known.right.all() and list(known.thinking_tokens) == [30, 31, 32, 33, 34]
    assert frame.thinking_budget.isna().all() and frame.groupby("end").size()["cut"] == 1


def test_files_hold_the_same_table(run: Path, tmp_path: Path) -> None:
    rows = results.read_table(run)
    assert results.write_table(run, tmp_path / "t.csv") == results.write_table(run, tmp_path / "t.parquet") == 6
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows
    with (tmp_path / "t.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["answer"] for row in read] == [row["answer"] for row in rows]
    with pytest.raises(UserError, match=r"ends in .csv or .parquet"):
        results.write_table(run, tmp_path / "t.xlsx")
    with pytest.raises(UserError, match=r"no attempts.jsonl"):
        results.read_table(tmp_path / "nowhere")
