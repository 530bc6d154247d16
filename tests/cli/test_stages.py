"""A curve is a table with a row for each thinking budget, or one JSON document."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from tests import command_line
from z1.cli import stages

POINT = {"n": 200, "missing": 2, "phase_one": 9.0, "shifted": 0.25, "cut": 0.0, "unparsed": 0.01}
NUMBERS = {
    "run": "demo evaluate-1",
    "model": "m",
    "benchmark": "programs",
    "problems": 200,
    "points": [
        {
            "thinking_budget": 16,
            "accuracy": [0.4, 0.5, 0.6],
            "thinking_tokens": [9, 10, 11],
            "paid_tokens": [18, 20, 22],
            **POINT,
        },
        {
            "thinking_budget": None,
            "accuracy": [0.8, 0.9, 0.95],
            "thinking_tokens": [39, 40, 41],
            "paid_tokens": [48, 50, 52],
            **POINT,
        },
    ],
}


def printed(folder: Path) -> str:
    out = io.StringIO()
    stages.curve_table(folder).print(Console(file=out))
    return out.getvalue()


def test_every_budget_is_a_row_with_its_intervals(tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(json.dumps(NUMBERS))
    text = printed(tmp_path)
    for word in ("16", "unlimited", "50.0 [40.0, 60.0]", "10.0 ±1.0", "50.0 ±2.0", "25%", "demo evaluate-1"):
        assert word in text
    assert "pass@" not in text


def test_pass_at_k_is_a_column_if_there_are_samples(tmp_path: Path) -> None:
    points = [{**point, "pass_at": {"1": 0.5, "4": 0.75}} for point in NUMBERS["points"]]  # type: ignore[attr-defined]
    (tmp_path / "curve.json").write_text(json.dumps({**NUMBERS, "points": points}))
    text = printed(tmp_path)
    assert "pass@4 %" in text and "75.0" in text


def test_json_is_all_of_stdout_and_progress_is_on_stderr(tmp_path: Path) -> None:
    recipe = command_line.recipe(tmp_path)
    done = command_line.z1("run", recipe, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [point["thinking_budget"] for point in found["points"]] == [0, 4, 16, None]
    assert (tmp_path / found["folder"] / "curve.json").is_file()
    assert found["report"] == "runs/micro/report/index.html"
    assert "micro: 4 stages, 0 done; the others take" in done.stderr
    assert "train     model in " in done.stderr
    for verb in ("evaluate", "report"):
        again = command_line.z1(verb, recipe, "--json", cwd=tmp_path)
        assert json.loads(again.stdout)["points"] == found["points"], again.stderr
    planned = json.loads(command_line.z1("run", recipe, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert [stage["is_done"] for stage in planned["stages"]] == [True, True, True, False]
