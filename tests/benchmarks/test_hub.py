"""Reading rows from every file format, finding files, and one-line errors."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.benchmarks.sample_files import jsonl, parquet
from z1.benchmarks import hub as hubs
from z1.benchmarks.hub import HubFiles, LoadOptions, find_files, get_column, load_rows, read_lines, read_rows
from z1.errors import UserError

ROWS = [{"a": 1, "b": "ö\n\u2028"}, {"a": 2, "b": ""}]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet", "x.jsonl.gz", "x.json.gz"])
def test_every_file_format_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    text = (
        json.dumps(ROWS) if ".json." in name or name.endswith(".json") else "".join(json.dumps(r) + "\n" for r in ROWS)
    )
    if name.endswith(".parquet"):
        parquet(path, ROWS)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert read_rows(path) == ROWS


def test_csv_cells_may_contain_commas_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('a,b\n1,"x, ""y""\nz"\n', encoding="utf-8", newline="")
    assert read_rows(tmp_path / "x.csv") == [{"a": "1", "b": 'x, "y"\nz'}]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": ')
    with pytest.raises(UserError, match=r"data in .*x\.jsonl: got invalid jsonl") as caught:
        read_rows(tmp_path / "x.jsonl")
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named() -> None:
    assert get_column({"b": 0}, "a", "b") == 0
    with pytest.raises(UserError, match="no column a or c"):
        get_column({"b": 1}, "a", "c")


def test_files_are_found_flat_or_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    hub = HubFiles("who/what", "0" * 40, ("data/one.jsonl", "data/two.jsonl"))
    jsonl(tmp_path / "data" / "one.jsonl", ROWS[:1])
    jsonl(tmp_path / "two.jsonl", ROWS[1:])
    assert load_rows(hub, str(tmp_path)) == ROWS
    (tmp_path / "two.jsonl").unlink()
    with pytest.raises(UserError, match=r"put two\.jsonl of https://huggingface\.co/datasets/who/what"):
        find_files(hub, str(tmp_path))


def test_the_offset_of_a_line_leads_back_to_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", ROWS)
    for at, row in read_lines(path):
        with path.open("rb") as file:
            file.seek(at)
            assert json.loads(file.readline()) == row


def test_the_default_options_are_empty() -> None:
    assert LoadOptions() == LoadOptions("", "", "", "")


def test_an_unreachable_hub_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    offline_flags: list[bool] = []

    def unreachable(*_: str, local_files_only: bool, **more: str) -> str:
        offline_flags.append(local_files_only)
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    monkeypatch.setattr(hubs, "_UNREACHABLE", threading.Event())
    for _ in range(2):
        with pytest.raises(UserError, match=r"who/what is not cached and the hub did not return it"):
            find_files(HubFiles("who/what", "0" * 40, ("one.jsonl",)), "")
    assert offline_flags == [False, True]
