"""Finding files, and one-line errors."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.benchmarks.sample_files import jsonl
from z1.benchmarks import hub as hubs
from z1.benchmarks.hub import HubFiles, LoadOptions, find_files
from z1.errors import UserError

ROWS = [{"a": 1, "b": "ö\n\u2028"}, {"a": 2, "b": ""}]


def test_files_are_found_flat_or_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    hub = HubFiles("who/what", "0" * 40, ("data/one.jsonl", "data/two.jsonl"))
    jsonl(tmp_path / "data" / "one.jsonl", ROWS[:1])
    jsonl(tmp_path / "two.jsonl", ROWS[1:])
    assert find_files(hub, str(tmp_path)) == [tmp_path / "data" / "one.jsonl", tmp_path / "two.jsonl"]
    (tmp_path / "two.jsonl").unlink()
    with pytest.raises(UserError, match=r"put two\.jsonl of https://huggingface\.co/datasets/who/what"):
        find_files(hub, str(tmp_path))


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
