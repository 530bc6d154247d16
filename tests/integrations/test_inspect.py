"""The provider, the solver and the task in an environment with inspect_ai, which `PYTHON_WITH_INSPECT` names."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.results.test_importer import check_format
from tests.serve.conftest import serving
from z1.engines.local.engine import LocalSettings, load
from z1.evaluate import read_attempts
from z1.models import shipped
from z1.results import import_log

PYTHON = os.environ.get("PYTHON_WITH_INSPECT", "")
PROGRAM = Path(__file__).parent / "inspect_check.py"
BUDGETS = "0,8,24,unlimited"


PROGRAMS = """
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def programs():
    samples = [Sample(f"print({n} + 4)", id=str(n), target=str(n + 4)) for n in range(4)]
    return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=includes())
"""


BENCHMARK = """
import json, sys
from pathlib import Path
from z1.benchmarks import LoadOptions, get_benchmark
path = Path(sys.argv[1]) / "stranger.py"
path.write_text('''
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate, prompt_template, system_message

@task
def sums():
    samples = [Sample(f"{n} + 1?", target=str(n + 1)) for n in range(3)]
    return Task(dataset=MemoryDataset(samples), scorer=match(numeric=True),
        solver=[system_message("Be brief."), prompt_template("Q: {prompt}"), generate()])
''')
bench = get_benchmark(f"inspect:{path}@sums")
problems = bench.load(2, 0, LoadOptions())
verdicts = [bench.grade(text, problems[1], False).verdict for text in ("it is 2", "it is 3")]
print(json.dumps([bench.messages(problems[1]), verdicts]))
"""


@pytest.mark.real
@pytest.mark.skipif(not PYTHON, reason="PYTHON_WITH_INSPECT names no interpreter")
def test_a_task_is_a_benchmark_of_z1(tmp_path: Path) -> None:
    command = [PYTHON, "-c", BENCHMARK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    messages, verdicts = json.loads(done.stdout.splitlines()[-1])
    assert [(turn["role"], turn["content"]) for turn in messages] == [("system", "Be brief."), ("user", "Q: 1 + 1?")]
    assert verdicts == ["right", "wrong"]


@pytest.mark.real
@pytest.mark.skipif(not PYTHON, reason="PYTHON_WITH_INSPECT names no interpreter")
def test_a_sweep_equals_one_evaluation_per_budget_and_is_imported(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    command = [PYTHON, str(PROGRAM), "8", str(tmp_path), BUDGETS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["equal_rows"] == found["rows"] == 32 and found["equal_scores"] == found["budgets"] == 4
    assert 0 < found["thinking_tokens_of_the_sweep"] <= 1.02 * found["thinking_tokens_of_one_free_run"]
    dump = tmp_path / "sweep.json"
    text = subprocess.run([PYTHON, "-m", "inspect_ai", "log", "dump", found["log"]], capture_output=True, check=True)
    dump.write_bytes(text.stdout)
    folder, _ = import_log([dump], tmp_path / "imported")
    check_format(folder)
    points = json.loads((folder / "curve.json").read_text())["points"]
    scores = [found["scores"][f"score@{budget}"] for budget in BUDGETS.split(",")]
    assert [point["accuracy"][1] for point in points] == scores
    assert all(attempt.token_ids for attempt in read_attempts(folder).values())


def evaluated(folder: Path, *arguments: str) -> dict[tuple[str, int | None], list[int]]:
    """Token ids by sample and budget of Inspect's command line, as `z1 import` reads its log."""
    (folder / "programs.py").write_text(PROGRAMS, "utf-8")
    task = ["z1/sweep", "-T", f"task={folder / 'programs.py'}@programs", "-T", "thinking_budgets=0,8,unlimited"]
    shape = ["--log-format", "json", "--log-dir", str(folder), "--display", "none", "-M", "max_model_len=512"]
    shape += ["-M", "max_answer_tokens=64"]
    command = [PYTHON, "-m", "inspect_ai", "eval", *task, *shape, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    imported, notes = import_log([*folder.glob("*.json")], folder / "imported")
    assert "attempts of z1 in the log: 12, with their token ids" in notes
    found = read_attempts(imported).values()
    assert {one.verdict for one in found if one.thinking_budget is None} == {"right"}
    return {(one.problem, one.thinking_budget): one.token_ids for one in found}


@pytest.mark.real
@pytest.mark.skipif(not PYTHON, reason="PYTHON_WITH_INSPECT names no interpreter")
def test_the_command_line_gives_equal_replies_by_a_server_and_in_process(tmp_path: Path) -> None:
    local = ["--model", "z1/z1-tiny", "-M", "deterministic=true"]
    settings = LocalSettings(max_num_seqs=2, max_model_len=512, deterministic=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = evaluated(tmp_path / "here", *local)
    with serving(load(shipped(), settings)) as there:
        remote = ["--model", f"z1/{shipped()}", "--model-base-url", f"{there.url}/v1"]
        assert evaluated(tmp_path / "there", *remote) == here
