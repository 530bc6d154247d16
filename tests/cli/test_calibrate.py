"""`z1 calibrate` writes the effort map that `z1 serve` reads."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from tests.evaluate.test_calibrate import attempts
from z1.cli import calibrate
from z1.cli.serve import read_effort_map
from z1.runs import read_json, write_json, write_lines


def run_in(folder: Path, budgets: tuple[int | None, ...]) -> Path:
    made = attempts([0, 10, 20, 30] * 10, budgets)
    folder.mkdir()
    write_lines(folder / "attempts.jsonl", (one.as_json() for one in made))
    write_json(folder / "curve.json", {"run": "tiny evaluate-1", "model": "m", "benchmark": "programs"})
    return folder


def test_the_effort_map_is_written_and_the_server_reads_it(tmp_path: Path) -> None:
    folder = run_in(tmp_path / "evaluate-1", (0, 10, 20, None))
    text = CliRunner().invoke(calibrate.app, [str(folder), "--max-accuracy-drop", "2"]).output
    for words in ("m on 40 problems of programs", "low 20", "max unlimited", "at most 2 points", "early exit"):
        assert words in text, text
    assert f"--reasoning-effort-map {folder / 'calibration.json'}" in text
    assert read_effort_map(folder / "calibration.json") == {
        "none": 0, "minimal": 10, "low": 20, "medium": -1, "high": -1, "xhigh": -1, "max": -1,
    }  # fmt: skip
    assert "its loss is 0.0 [0.0, 0.0] points" in text  # a quarter better than any other on 40 problems
    assert [one["stable"] for one in read_json(folder / "calibration.json")["early_exit"]] == [2, 3, 4, 6]


def test_what_few_problems_do_not_show_is_not_claimed(tmp_path: Path) -> None:
    folder = tmp_path / "evaluate-1"
    run_in(folder, (0, 10, 20, None))
    made = attempts([0] * 23 + [20], (0, 10, 20, None))
    write_lines(folder / "attempts.jsonl", (one.as_json() for one in made))
    text = CliRunner().invoke(calibrate.app, [str(folder), "--max-accuracy-drop", "2"]).output
    assert "no budget is shown to lose at most 2 points by 24 problems; 20 has the best score" in text, text
    assert "corrected by" in text


def test_without_a_grid_there_is_nothing_on_early_exit(tmp_path: Path) -> None:
    folder = run_in(tmp_path / "evaluate-1", (0, 10, None))
    assert "early exit" not in CliRunner().invoke(calibrate.app, [str(folder)]).output
    assert read_json(folder / "calibration.json")["early_exit"] == []
    found = json.loads(CliRunner().invoke(calibrate.app, [str(folder), "--json"]).output)
    assert found == read_json(folder / "calibration.json")
