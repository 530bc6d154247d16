"""`z1 curate` shows progress, cost and errors of a plan, and describes a dataset."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import command_line
from tests.benchmarks.sample_files import jsonl
from tests.curate.scripted_teacher import Teacher, plan, serving
from z1 import dataset_io
from z1.cli import curate
from z1.curate import plan as plans
from z1.curate.known_datasets import CATALOGUE
from z1.errors import UserError
from z1.models import shipped
from z1.pipeline import NoProgress
from z1.runs import hash_file


def write(folder: Path, url: str, count: int) -> None:
    recipe, rows = plan(url, [f"question {n}" for n in range(count)], "prices = [1000.0, 1000.0]\n")
    (folder / "plan.toml").write_text(recipe)
    (folder / "problems.jsonl").write_text(rows)


def test_the_cost_is_printed(tmp_path: Path) -> None:
    with serving(Teacher(lambda _, times: "broken" if times == 0 else "ok")) as teacher:
        write(tmp_path, teacher.url, 3)
        done = command_line.z1("curate", "plan.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 replies in" in done.stderr and "none missing" in done.stderr
    assert "3 rows" in done.stderr
    assert "3 repeated requests" in done.stderr and "3 faults" in done.stderr
    assert "cost      0.0;" not in done.stderr


def test_ctrl_c_prints_the_cost_and_how_to_continue(tmp_path: Path) -> None:
    with serving(Teacher(lambda *_: "hang", hang_s=150)) as teacher:
        write(tmp_path, teacher.url, 5)
        command = [sys.executable, "-m", "z1.cli.main", "curate", "plan.toml"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=command_line.environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 60
            while not teacher.asked.total() and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "0 replies in" in said
    assert "5 replies of unknown length" in said
    assert "stopped; run the same command again to continue" in said
    assert "Traceback" not in said


def test_candidates_are_counted_while_a_plan_is_built_and_measured() -> None:
    calls: list[tuple[object, ...]] = []

    class Reporter(NoProgress):
        def start(self, stage: str, total: int) -> None:
            calls.append((stage, total))

        def update(self, done: int, note: str = "") -> None:
            calls.append((done, note))

    update = curate.progress_updates(Reporter(), "filter", "write")
    for done, total in ((64, 0), (70, 0), (1, 70)):
        update(done, total)
    assert calls == [("filter", 0), (64, "candidates"), (70, "candidates"), ("write", 70), (1, "candidates")]


def test_a_dataset_is_described(tmp_path: Path) -> None:
    rows = [{"response": "I need to go", "token_num_qwen": n} for n in (25, 8169)]
    dataset_io.write(tmp_path / "d" / "data" / "train.parquet", rows, {"response": str, "token_num_qwen": int})
    done = command_line.z1("curate", "--describe", "d", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for line in ("| rows | 2 |", "| tokens | 8,194 |", "| min | 25 |", "| max | 8,169 |", "| `i need to` | 2 |"):
        assert line in done.stdout

    found = json.loads(command_line.z1("curate", "--describe", "d", "--json", cwd=tmp_path).stdout)
    assert {key: found[key] for key in ("rows", "tokens", "min", "max", "mean")} == {
        "rows": 2, "tokens": 8194, "min": 25, "max": 8169, "mean": 4097.0
    }  # fmt: skip
    assert found["trigrams"] == {"i need to": 2, "need to go": 2}


def test_a_dataset_that_cannot_be_described_is_refused(tmp_path: Path) -> None:
    for columns, words in (
        ({"title": "a"}, "columns title; give one with response or output"),
        ({"response": "a"}, "no column of token counts"),
    ):
        dataset_io.write(tmp_path / "t.parquet", [columns], dict.fromkeys(columns, str))
        with pytest.raises(UserError, match=words):
            curate.print_statistics(tmp_path / "t.parquet", "")
    with pytest.raises(UserError, match="no such file"):
        curate.print_statistics(tmp_path / "nowhere", "")


def test_a_benchmark_that_could_not_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.jsonl").write_text('{"id": "a", "question": "Q", "response": "R", "n": 1}\n')
    columns = 'columns = { id = "id", question = "question", response = "response", tokens = "n" }\n'
    tail = '[decontaminate]\nagainst = ["mbpp"]\n'
    (tmp_path / "plan.toml").write_text(f'name = "x"\n[[source]]\npath = "t.jsonl"\n{columns}{tail}')
    curate.carry_out(plans.read(tmp_path / "plan.toml"), tmp_path / "runs", curate.PlanOptions())
    said = capsys.readouterr().err
    assert "1 rows" in said and "not read  mbpp: data of a benchmark" in said


def test_download_only_has_the_files_of_a_plan_and_names_what_is_not_available(tmp_path: Path) -> None:
    known = CATALOGUE["leetcode"].hub
    cached = tmp_path / f"datasets--{known.id.replace('/', '--')}" / "snapshots" / known.revision
    jsonl(cached / "LeetCodeDataset-train.jsonl", [{"task_id": "two-sum"}])
    (tmp_path / "plan.toml").write_text(
        'name = "x"\n[[source]]\nhub = "leetcode"\n[decontaminate]\nagainst = ["mbpp"]\n'
    )
    environment = {**command_line.environment(), "HF_HUB_CACHE": str(tmp_path)}
    done = command_line.z1_alone("curate", "plan.toml", "--download-only", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"{hash_file(cached / 'LeetCodeDataset-train.jsonl')}  {cached / 'LeetCodeDataset-train.jsonl'}"
    assert second.startswith("not read  mbpp: data of a benchmark")
    (cached / "LeetCodeDataset-train.jsonl").unlink()
    cached.rmdir()
    done = command_line.z1_alone("curate", "plan.toml", "--download-only", cwd=tmp_path, env=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "newfacade/LeetCodeDataset is not cached and the hub did not return it" in done.stderr


def test_a_synthetic_source_becomes_a_dataset(tmp_path: Path) -> None:
    source = 'synthetic = "programs"\nproblems = 12\nlevels = ["direct", "compact", "full"]\n'
    tokens = f'[tokens]\ntokenizer = "{shipped().as_posix()}"\ncolumn = "tokens"\n'
    checks = '[check]\nanswer = true\n[decontaminate]\nagainst = ["programs"]\n'
    (tmp_path / "plan.toml").write_text(f'name = "w"\n[[source]]\n{source}{tokens}{checks}')
    done = command_line.z1("curate", "plan.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "36 rows" in done.stderr and "12 pairs" in done.stderr
    card = (tmp_path / "runs" / "w" / "dataset" / "README.md").read_text()
    assert "- z1.synthetic, programs, licence MIT" in card
    assert "| tokens | rows | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 |" in card


def test_a_level_is_asked_where_the_levels_before_did_not_solve_the_problem(tmp_path: Path) -> None:
    def script(prompt: str, times: int) -> str:
        return "cut" if prompt in ("hard", "never", "think: never") else "ok"

    prompts = 'direct = "{question}"\nstep = "think: {question}"\nlong = "think twice: {question}"\n'
    levels = f"raise_levels = true\n[teacher.levels]\n{prompts}"
    with serving(Teacher(script)) as teacher:
        recipe, rows = plan(teacher.url, ["easy", "hard", "never"], levels)
        (tmp_path / "plan.toml").write_text(recipe)
        (tmp_path / "problems.jsonl").write_text(rows)
        for _ in range(2):
            curate.carry_out(plans.read(tmp_path / "plan.toml"), tmp_path / "runs", curate.PlanOptions())
    asked = ["easy", "hard", "never", "think: hard", "think: never", "think twice: never"]
    assert teacher.asked == dict.fromkeys(asked, 1)
    data = dataset_io.read(tmp_path / "runs" / "asked" / "dataset")
    assert [(row["problem"], row["level"]) for row in data] == [("p0", "direct"), ("p1", "step"), ("p2", "long")]


def test_a_level_whose_replies_are_missing_is_not_passed_over(tmp_path: Path) -> None:
    levels = (
        'max_attempts = 1\nraise_levels = true\n[teacher.levels]\ndirect = "{question}"\nlong = "think: {question}"\n'
    )
    with serving(Teacher(lambda prompt, times: "fail" if prompt == "bad" and not times else "ok")) as teacher:
        recipe, rows = plan(teacher.url, ["bad", "good"], levels)
        (tmp_path / "plan.toml").write_text(recipe)
        (tmp_path / "problems.jsonl").write_text(rows)
        curate.carry_out(plans.read(tmp_path / "plan.toml"), tmp_path / "runs", curate.PlanOptions())
    assert teacher.asked == {"bad": 2, "good": 1}
