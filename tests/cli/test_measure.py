"""Does a person see efforts that were measured, and what windows would have saved?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluate.test_calibrate import attempts
from z1 import evaluate
from z1.cli.measure import ReplayOptions, efforts, replay, windows_in
from z1.cli.serve import read_efforts
from z1.errors import UserError
from z1.runs import read_json, write_json, write_lines


def run_in(folder: Path, windows: tuple[int | None, ...]) -> Path:
    made = attempts([0, 10, 20, 30] * 10, windows)
    folder.mkdir()
    write_lines(folder / "attempts.jsonl", (one.as_json() for one in made))
    write_json(folder / "curve.json", {"run": "tiny evaluate-1", "model": "m", "benchmark": "programs"})
    return folder


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_efforts_are_written_and_the_server_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_in(tmp_path / "evaluate-1", (0, 10, 20, None))
    efforts(folder, 2.0)
    said = capsys.readouterr().out
    for words in ("m on 40 problems of programs", "low 20", "max free", "at most 2 points", "leaving early"):
        assert words in said, said
    assert read_efforts(folder / "calibration.json") == {
        "none": 0, "minimal": 10, "low": 20, "medium": -1, "high": -1, "xhigh": -1, "max": -1,
    }  # fmt: skip
    assert [one["stable"] for one in read_json(folder / "calibration.json")["early_exit"]] == [2, 3, 4, 6]


def test_without_a_grid_nothing_is_said_of_leaving_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_in(tmp_path / "evaluate-1", (0, 10, None))
    efforts(folder, 2.0)
    assert "leaving early" not in capsys.readouterr().out
    assert read_json(folder / "calibration.json")["early_exit"] == []


def test_traffic_is_replayed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = ["print(3 + 4)\n", "a = 2\nb = a * 3\nprint(b)\n"]
    lines = [{"messages": [{"role": "user", "content": text}]} for text in programs]
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    asked = ReplayOptions(None, (0, 8), 24, 2.0)
    replay(path, asked, tmp_path)
    first = capsys.readouterr().out
    assert "2 requests against free thinking" in first and "per 1,000" in first
    (folder,) = (tmp_path / "replay").iterdir()
    rows = read_json(folder / "savings.json")["thinking_budgets"]
    assert [(row["thinking_budget"], row["requests"], row["missing"]) for row in rows] == [(0, 2, 0), (8, 2, 0)]

    def never(*_: object) -> None:
        raise AssertionError("what was replayed is not replayed again")

    monkeypatch.setattr(evaluate, "evaluate", never)
    replay(path, asked, tmp_path)
    replay(path, replace(asked, price_per_mtok=None), tmp_path)
    assert "per 1,000" not in capsys.readouterr().out.split("numbers:")[1]


def test_windows_are_numbers() -> None:
    assert windows_in("128, 64,64") == (64, 128)
    for wrong in ("", "a", "64,-1"):
        with pytest.raises(UserError, match="windows"):
            windows_in(wrong)
