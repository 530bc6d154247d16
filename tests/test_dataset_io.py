"""A table reads the same from every file format, and a broken file is an error with its path."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from z1 import dataset_io
from z1.errors import UserError

ROWS: list[dict[str, Any]] = [
    {"id": "a", "n": 1, "x": 0.5, "good": True},
    {"id": "b", "n": None, "x": None, "good": False},
]
COLUMNS = {"id": str, "n": int, "x": float, "good": bool}


def test_the_same_rows_from_parquet_jsonl_gzip_and_a_folder(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "t.jsonl").write_text(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert dataset_io.write(tmp_path / "data" / "t.parquet", iter(ROWS), COLUMNS) == 2
    (tmp_path / "README.md").write_text("not a table")
    for name in ("t.jsonl", "t.jsonl.gz", "data/t.parquet", "data", "."):
        assert list(dataset_io.read(tmp_path / name)) == ROWS


def test_lone_surrogates_are_replaced_at_both_ends(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"a\\ud83d": ["x\\uDc00", {"b": "\\ud83d\\ude00"}], "c": "\xed\x95\x9c"}\n')
    assert list(dataset_io.read(tmp_path / "t.jsonl")) == [{"a\ufffd": ["x\ufffd", {"b": "\U0001f600"}], "c": "\ud55c"}]
    rows: list[dict[str, Any]] = [{"id": "ok"}, {"id": "a\ud83d"}, {"id": None}]
    dataset_io.write(tmp_path / "t.parquet", rows, {"id": str})
    assert [row["id"] for row in dataset_io.read(tmp_path / "t.parquet")] == ["ok", "a\ufffd", None]


def test_tables_larger_than_one_batch(tmp_path: Path) -> None:
    count = dataset_io.BATCH_ROWS + 5
    assert dataset_io.write(tmp_path / "t.parquet", ({"n": n} for n in range(count)), {"n": int}) == count
    assert [row["n"] for row in dataset_io.read(tmp_path / "t.parquet")] == list(range(count))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.jsonl", b'{"a": 1}\n{"a"', "line 2"),
        ("t.jsonl", b"[1]\n", "line 1"),
        ("t.jsonl", b"[" * 100_000, "line 1"),
        ("t.jsonl.gz", gzip.compress(b"{}\n" * 999, mtime=0)[:-9], "one JSON object per line"),
        ("t.jsonl.gz", b"plain", "one JSON object per line"),
        ("t.parquet", b"nothing", "not Parquet"),
        ("t.csv", b"a,b", "give a folder or a file"),
    ],
)
def test_a_broken_table_is_an_error_with_its_path(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        list(dataset_io.read(tmp_path / name))
