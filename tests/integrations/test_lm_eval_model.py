"""The ladder in lm-evaluation-harness: each budget equals a run of its own, and its samples come back as attempts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.results.foreign_logs import write_lines
from z1.results import ImportSettings, import_log

PROGRAM = Path(__file__).parent / "lm_eval_check.py"


@pytest.mark.slow
def test_a_ladder_equals_one_run_per_budget(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", str(PROGRAM), "6", str(tmp_path), "0,8,24,unlimited"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == found["equal_rows"] == 24
    assert found["equal_scores"] == found["equal_points"] == found["budgets"] == 4
    assert 0 < found["sweep"] <= 1.02 * found["free"]


@pytest.mark.slow
def test_the_command_line_writes_samples_that_are_imported(tmp_path: Path) -> None:
    rows = [{"question": f"print({n} + 4)", "answer": str(n + 4)} for n in range(3)]
    write_lines(tmp_path / "rows.jsonl", rows)
    task = {
        "task": "sums",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n\n\n"], "do_sample": False, "max_gen_toks": 64},
        "filter_list": [
            {"name": "last", "filter": [{"function": "regex", "regex_pattern": "(\\d+)", "group_select": -1}]}
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    (tmp_path / "sums.yaml").write_text(json.dumps(task), "utf-8")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "z1.integrations.lm_eval_model",
        "--tasks",
        str(tmp_path / "sums.yaml"),
    ]
    command += ["--model_args", "pretrained=z1-tiny,max_model_len=512", "--thinking_budgets", "0,8,unlimited"]
    command += ["--output_path", str(tmp_path / "out"), "--log_samples"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (samples,) = (tmp_path / "out").rglob("samples_sums_*.jsonl")
    (results,) = (tmp_path / "out").rglob("results_*.json")
    scores = json.loads(results.read_text("utf-8"))["results"]["sums"]
    folder, _ = import_log([samples], tmp_path / "imported", ImportSettings(count_tokens=len, tokenizer="characters"))
    found = json.loads((folder / "curve.json").read_text("utf-8"))
    assert (found["benchmark"], found["model"]) == ("sums", "z1-tiny")
    names = {0: "0", 8: "8", None: "unlimited"}
    assert [point["thinking_budget"] for point in found["points"]] == list(names)
    for point in found["points"]:
        assert point["accuracy"][1] == scores[f"exact_match,last@{names[point['thinking_budget']]}"]
    assert found["points"][-1]["accuracy"][1] == 1
