"""Held-out splits are found by the names of files and folders, by the card and by Parquet metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from z1.dataset_rows import split_files
from z1.errors import UserError


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"question": path.name}) + "\n")
    return path


@pytest.mark.parametrize(
    "name", ["test", "gsm8k_test", "test-00000-of-00001", "validation", "my.dev", "eval", "sft-val"]
)
def test_files_named_after_a_held_out_split_are_not_read(name: str, tmp_path: Path) -> None:
    kept, other = write(tmp_path / "rows.jsonl"), write(tmp_path / f"{name}.jsonl")
    assert split_files(tmp_path) == ([kept], [other])
    assert split_files(other) == ([other], [])


@pytest.mark.parametrize("name", ["train", "train-00000", "evol", "contest", "developer", "latest", "values"])
def test_names_that_only_contain_the_letters_are_read(name: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"{name}.jsonl")
    assert split_files(tmp_path) == ([file], [])


def test_a_folder_with_nothing_else_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl")
    with pytest.raises(UserError, match=r"only held-out files: test\.jsonl; name one of them, or its split"):
        split_files(tmp_path)
    assert [file.name for file in split_files(tmp_path, "test").train] == ["test.jsonl"]


def test_the_card_assigns_files_to_splits(tmp_path: Path) -> None:
    kept, other = write(tmp_path / "a.jsonl"), write(tmp_path / "b.jsonl")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: a.jsonl\n"
        "  - split: test\n    path:\n    - b*.jsonl\n---\n# Data\n"
    )
    assert split_files(tmp_path) == ([kept], [other])
    (tmp_path / "README.md").write_text("# No metadata\n")
    assert split_files(tmp_path) == ([kept, other], [])


def test_parquet_metadata_may_name_the_split(tmp_path: Path) -> None:
    table = pa.table({"question": ["Q"]})
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.replace_schema_metadata({"split": "validation"}), tmp_path / "b.parquet")
    found = split_files(tmp_path)
    assert [file.name for file in found.train] == ["a.parquet"]
    assert [file.name for file in found.held_out] == ["b.parquet"]


def test_a_split_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    kept = write(tmp_path / "train.jsonl")
    write(tmp_path / "test.jsonl")
    with pytest.raises(UserError, match="files of splits: test, train; name one of them"):
        split_files(tmp_path, "tset")
    assert split_files(tmp_path, "train").train == [kept]
    kept.write_text(json.dumps({"question": "Q", "split": "tset"}) + "\n")
    (tmp_path / "test.jsonl").unlink()
    assert split_files(tmp_path, "tset").train == [kept]
