"""The provider, the solver and the task in an environment with inspect_ai, which `PYTHON_WITH_INSPECT` names."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.results.test_importer import check_format
from z1.evaluate import read_attempts
from z1.results import import_log

PYTHON = os.environ.get("PYTHON_WITH_INSPECT", "")
PROGRAM = Path(__file__).parent / "inspect_check.py"
BUDGETS = "0,8,24,unlimited"


@pytest.mark.real
@pytest.mark.skipif(not PYTHON, reason="PYTHON_WITH_INSPECT names no interpreter")
def test_a_sweep_equals_one_evaluation_per_budget_and_is_imported(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    command = [PYTHON, str(PROGRAM), "8", str(tmp_path), BUDGETS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["equal_rows"] == found["rows"] == 32 and found["equal_scores"] == found["budgets"] == 4
    assert found["thinking_tokens_of_the_sweep"] == found["thinking_tokens_of_one_free_run"] > 0
    dump = tmp_path / "sweep.json"
    text = subprocess.run([PYTHON, "-m", "inspect_ai", "log", "dump", found["log"]], capture_output=True, check=True)
    dump.write_bytes(text.stdout)
    folder, _ = import_log([dump], tmp_path / "imported")
    check_format(folder)
    points = json.loads((folder / "curve.json").read_text())["points"]
    scores = [found["scores"][f"score@{budget}"] for budget in BUDGETS.split(",")]
    assert [point["accuracy"][1] for point in points] == scores
    assert all(attempt.token_ids for attempt in read_attempts(folder).values())
