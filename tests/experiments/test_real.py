"""The plan of the real experiment: its estimate, its cells, and a dry run that is killed and continues."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.real.plan import Cell, cells, estimate, expected_tokens, load, why_not
from tests.results.test_importer import check_format
from z1.errors import UserError

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "experiments" / "real"


def test_the_estimate_is_the_sum_of_its_cells() -> None:
    plan = load(FOLDER / "plan.toml")
    todo = [cell for cell in cells(plan) if not why_not(plan, cell)]
    assert len(todo) == 2 * 3 * 3 and len(list(cells(plan))) == 2 * 3 * 4
    assert expected_tokens(plan, Cell("qwen3-8b", "math500", "ladder")) == 500 * 4 * (4000 + 512 * 8)
    assert expected_tokens(plan, Cell("qwen3-8b", "math500", "confidence")) == 500 * 4 * (4000 + 512 + 7 * 32)
    total = sum(expected_tokens(plan, cell) for cell in todo)
    last = estimate(plan)[-1]
    assert f"{total / 1e6:,.1f}M tokens / 2,500 tokens/s = {total / 2500 / 3600:,.1f} h" in last
    assert "0.0M tokens" in estimate(plan, frozenset(todo))[-1]


def test_native_cells_say_why_they_are_not_run() -> None:
    plan = load(FOLDER / "plan.toml")
    assert why_not(plan, Cell("qwen3-8b", "math500", "native")) == "no native_url in the plan"
    assert why_not(plan.model_copy(update={"native_url": "http://x/v1"}), Cell("qwen3-8b", "math500", "native")) == ""


def test_a_plan_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text((FOLDER / "dry.toml").read_text().replace("samples =", "sample ="), "utf-8")
    with pytest.raises(UserError, match="sample"):
        load(path)


@pytest.mark.slow
def test_a_dry_run_is_killed_and_continues(tmp_path: Path) -> None:
    text = (FOLDER / "dry.toml").read_text().replace("samples = 4", "samples = 2")
    text = text.replace("problems = 12", "problems = 4").replace("problems = 8", "problems = 3")
    (tmp_path / "plan.toml").write_text(text.split("[benchmarks.programs-longer]")[0], "utf-8")
    command = [sys.executable, "-m", "experiments.real", str(tmp_path / "plan.toml"), "--runs", str(tmp_path)]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not list(tmp_path.rglob("stage.json")) and first.poll() is None:
        time.sleep(0.05)
    first.kill()
    first.wait()
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("stage.json")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert finished and all(path.stat().st_mtime_ns == when for path, when in finished.items())
    manifests = list(tmp_path.rglob("stage.json"))
    assert len(manifests) == 2 * 3
    for path in manifests:
        check_format(path.parent)
    rows = json.loads((tmp_path / "dry" / "report" / "cells.json").read_text())
    assert [row["why"] for row in rows if not row["points"]] == ["no native_url in the plan"] * 2
    page = (tmp_path / "dry" / "report" / "index.html").read_text()
    assert "6 of 8 cells were run" in page and "not run: no native_url in the plan" in page
