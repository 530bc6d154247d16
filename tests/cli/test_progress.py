"""Does the table show what the numbers are?"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests import command_line
from tests.benchmarks.sample_files import SAMPLE_FILES
from z1.cli import progress

POINT = {"n": 200, "missing": 2, "phase_one": 9.0, "shifted": 0.25, "cut": 0.0, "unparsed": 0.01}
NUMBERS = {
    "run": "demo evaluate-1",
    "model": "m",
    "benchmark": "programs",
    "problems": 200,
    "points": [
        {"thinking_budget": 16, "accuracy": [0.4, 0.5, 0.6], "thought": [9, 10, 11], "paid": [18, 20, 22], **POINT},
        {"thinking_budget": None, "accuracy": [0.8, 0.9, 0.95], "thought": [39, 40, 41], "paid": [48, 50, 52], **POINT},
    ],
}


def test_every_window_is_a_row_with_its_intervals(tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(json.dumps(NUMBERS))
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(progress.table(tmp_path))
    text = console.export_text()
    for word in ("16", "free", "50.0 [40.0, 60.0]", "10.0 ±1.0", "50.0 ±2.0", "25%", "demo evaluate-1"):
        assert word in text


def test_bars_say_one_line_a_stage_where_there_is_no_terminal(capsys: object) -> None:
    with progress.Bars() as watch:
        watch.start("curate", 10)
        watch.update(5, "half")
        watch.finish("all done")
    assert "curate    all done" in capsys.readouterr().err  # type: ignore[attr-defined]


def test_fetch_prints_a_hash_for_each_file(tmp_path: Path) -> None:
    text = command_line.MICRO.replace("[evaluate]", f'[evaluate]\nbenchmark = "humaneval"\ndata = "{tmp_path}"')
    SAMPLE_FILES["humaneval"](tmp_path)
    done = command_line.z1("evaluate", command_line.recipe(tmp_path, text), "--fetch")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{16}  \S+test-00000-of-00001\.parquet\n", done.stdout)


def test_fetch_of_a_comparison_brings_all_data_and_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SAMPLE_FILES["humaneval"](tmp_path / "data")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").write_bytes(b"weights")
    path = tmp_path / "two.toml"
    evaluation = f'[[evaluate]]\nbenchmark = "humaneval"\ndata = "{tmp_path / "data"}"\n'
    rest = "problems = 1\nthinking_budgets = []\nmax_answer_tokens = 8\n"
    path.write_text(f'name = "two"\n[models]\nm = {{ path = "{tmp_path / "m"}" }}\n' + (evaluation + rest) * 2)
    progress.fetch(path, None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("/")[-1] for line in lines] == ["test-00000-of-00001.parquet", "m"]
    assert all(re.match(r"[0-9a-f]{16}  /", line) for line in lines)
