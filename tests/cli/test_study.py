"""`z1 study` trains, evaluates and reports; with --report-only it uses what is finished."""

from __future__ import annotations

import json
from pathlib import Path

from tests import command_line

STUDY = """
name = "one"
problem_seed = 9
reference = "z1"
[arms]
z1 = { recipe = "micro.toml", seeds = [3] }
[[evaluate]]
problems = 3
thinking_budgets = [4]
max_answer_tokens = 8
"""


def test_a_study_is_carried_out_and_reported(tmp_path: Path) -> None:
    command_line.recipe(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    before = command_line.z1("study", "study.toml", "--report-only", "--json", cwd=tmp_path)
    assert before.returncode == 2 and before.stdout == ""
    done = command_line.z1("study", "study.toml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["command"] == "z1 study study.toml" and found["not_run"] == []
    assert "1 models, 0 trained" in done.stderr and "1 models, 1 trained" in done.stderr
    again = command_line.z1("study", "study.toml", "--report-only", "--output-dir", "out", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == [
        "1 models, 1 trained",
        "numbers: out/results.json",
        "report: runs/one/report/index.html",
    ]
    assert json.loads((tmp_path / "out" / "results.json").read_text())["one"]["accuracy"] == found["accuracy"]
