"""`z1 replay` generates recorded requests once and compares thinking budgets on them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from z1 import evaluate
from z1.cli.replay import ReplayOptions, app, parse_budgets, replay_requests
from z1.errors import UserError
from z1.runs import read_json


def test_requests_are_replayed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = ["print(3 + 4)\n", "a = 2\nb = a * 3\nprint(b)\n"]
    lines = [{"messages": [{"role": "user", "content": text}]} for text in programs]
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    options = ReplayOptions(None, (0, 8), 24, 2.0)
    replay_requests(path, options, tmp_path)
    first = capsys.readouterr().out
    assert "2 requests against unlimited thinking" in first and "saved per 1,000 requests" in first
    (folder,) = (tmp_path / "replay").iterdir()
    rows = read_json(folder / "savings.json")["thinking_budgets"]
    assert [(row["thinking_budget"], row["requests"], row["missing"]) for row in rows] == [(0, 2, 0), (8, 2, 0)]

    def never(*_: object) -> None:
        raise AssertionError("requests that were replayed are not generated again")

    monkeypatch.setattr(evaluate, "evaluate", never)
    replay_requests(path, options, tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out) == read_json(folder / "savings.json")
    replay_requests(path, replace(options, price_per_mtok=None), tmp_path)
    assert "per 1,000" not in capsys.readouterr().out


def test_a_request_that_does_not_fit_is_missing_and_the_rest_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"messages": [{"role": "user", "content": text}]} for text in ("print(3 + 4)\n", "print(1)\n" * 5000)]
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    for _ in range(2):
        replay_requests(path, ReplayOptions(None, (8,), 24), tmp_path, as_json=True)
        (row,) = json.loads(capsys.readouterr().out)["thinking_budgets"]
        assert (row["requests"], row["missing"]) == (1, 1)


def test_a_missing_file_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="file"):
        replay_requests(tmp_path / "none.jsonl", ReplayOptions(None, (8,), 24), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_budgets_are_numbers() -> None:
    assert parse_budgets("128, 64,64") == (64, 128)
    for wrong in ("", "a", "64,-1"):
        with pytest.raises(UserError, match="thinking_budgets"):
            parse_budgets(wrong)


def test_recorded_traces_need_no_model(tmp_path: Path) -> None:
    probes = [{"tokens": 10 * at, "prediction": letter, "right": letter == "B"} for at, letter in enumerate("ABB")]
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps({"id": "t", "answer": "B", "probes": probes}), "utf-8")
    done = CliRunner().invoke(app, [str(path), "--recorded", "--thinking-budgets", "0,10"])
    assert done.exit_code == 0, done.output
    assert "1 recorded traces" in done.output and "budget 10" in done.output and "2 equal answers" in done.output
    done = CliRunner().invoke(app, [str(path), "--recorded", "--model", "m"])
    assert isinstance(done.exception, UserError)
