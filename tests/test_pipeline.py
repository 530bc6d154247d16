"""A run goes from an empty folder to the report, and resumes after interruptions."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import command_line
from tests.train import small
from z1 import pipeline, runs
from z1 import recipe as recipes
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.evaluate import read_attempts
from z1.evaluate.runner import ATTEMPTS
from z1.recipe import Recipe
from z1.records import Attempt
from z1.train.sft.prepare import PreparedTraining


class RecordedProgress(pipeline.NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def update(self, done: int, note: str = "") -> None:
        self.notes.append(f"{done} {note}")

    def finish(self, note: str) -> None:
        self.notes.append(note)


def digest(folder: Path) -> dict[str, str]:
    """The hash of every result, but for when and by what it was made."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".jsonl", ".safetensors", ".html", ".svg")]
    kept = [p for p in files if p.name != ATTEMPTS]  # its lines are in the order in which they were done
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


def attempts(run: Path) -> dict[tuple[str, int | None, int], Attempt]:
    return read_attempts(next(run.glob("evaluate-*")))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run = folder / "runs" / "micro"
    recipe = recipes.load(command_line.recipe(folder))
    pipeline.report(recipe, run, pipeline.NoProgress(), pipeline.evaluate(recipe, run, pipeline.NoProgress()))
    return run


def test_every_stage_leaves_what_the_next_one_needs(finished: Path) -> None:
    assert {path.name.split("-")[0] for path in finished.iterdir()} == {"curate", "train", "evaluate", "report"}
    assert (finished / "report" / "index.html").stat().st_size > 10_000
    numbers = runs.read_json(next(finished.glob("evaluate-*")) / "curve.json")
    assert [point["thinking_budget"] for point in numbers["points"]] == [0, 4, 16, None]
    assert numbers["model"] == "micro"
    assert Counter(len(read_attempts(p)) for p in finished.glob("evaluate-*")) == {48: 1}


def test_a_finished_stage_is_skipped(finished: Path) -> None:
    before = digest(finished)
    progress = RecordedProgress()
    began = time.monotonic()
    pipeline.evaluate(recipes.load(command_line.recipe(finished.parent.parent)), finished, progress)
    assert time.monotonic() - began < 20
    assert not [note for note in progress.notes if note.startswith("1 ")]
    assert digest(finished) == before


def test_a_changed_setting_is_another_folder_and_nothing_is_overwritten(finished: Path, tmp_path: Path) -> None:
    changed = command_line.recipe(tmp_path, command_line.MICRO.replace("compact_up_to = 4", "compact_up_to = 5"))
    before = digest(finished)
    pipeline.curate(recipes.load(changed), finished, pipeline.NoProgress())
    assert len(list(finished.glob("curate-*"))) == 2
    assert {name: hash_ for name, hash_ in digest(finished).items() if name in before} == before


def test_bases_are_trained_first_and_the_estimate_includes_the_dependents(tmp_path: Path) -> None:
    base = command_line.recipe(tmp_path, command_line.MICRO.replace("epochs = 1.0", "train_tokens = 1000"))
    path = tmp_path / "arm.toml"
    path.write_text(command_line.ARM.format(name="arm", base=base.as_posix(), level="full"), encoding="utf-8")
    progress, recipe = RecordedProgress(), recipes.load(path)
    pipeline.train(recipe, tmp_path / "runs" / "arm", progress)
    text = [note for note in progress.notes if "core-minutes" in note or "rows in" in note or "model in" in note]
    expected = [
        " rows in .*micro",
        "micro is expected to take 0 core-minutes more; arm after it about 0",
        "model in .*micro",
    ]
    expected += [" rows in .*arm", "arm is expected to take 0 core-minutes more", "model in .*arm"]
    assert [bool(re.search(f"{one}[^;]*$", note)) for one, note in zip(expected, text, strict=True)] == [True] * 6
    assert pipeline._dependents_estimate(recipes.load(base), [recipe], 600.0) == "; arm after it about 20"


def circle(folder: Path, *names: str) -> list[Path]:
    """Recipes of which each is the base of the next."""
    paths = [folder / f"{name}.toml" for name in names]
    for path, base in zip(paths, paths[-1:] + paths[:-1], strict=True):
        path.write_text(command_line.ARM.format(name=path.stem, base=base.as_posix(), level="full"), encoding="utf-8")
    return paths


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c")])
def test_recipes_that_are_each_others_base_are_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    recipe = recipes.load(circle(tmp_path, *names)[0])
    for refused in (
        lambda: pipeline.check(recipe),
        lambda: pipeline.train(recipe, tmp_path / "runs" / "a", pipeline.NoProgress()),
    ):
        with pytest.raises(UserError, match=r"base of recipe \w: got \w\.toml, of which it is itself a base"):
            refused()
    assert not (tmp_path / "runs").exists()


def test_a_recipe_that_trains_nothing_needs_a_model(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    table = "[evaluate]\nproblems = 2\nthinking_budgets = [4]\nmax_answer_tokens = 8\n"
    path.write_text(f'name = "plain"\n{table}[report]\ntitle = "t"\n', encoding="utf-8")
    recipe = recipes.load(path)
    with pytest.raises(UserError, match="model: got none, and a recipe that trains none; give --model, or add"):
        pipeline.evaluate(recipe, tmp_path / "runs", pipeline.NoProgress())
    assert not (tmp_path / "runs").exists()
    assert pipeline.evaluate(recipe, tmp_path / "runs", pipeline.NoProgress(), "z1-tiny").is_dir()


def test_a_second_run_of_a_recipe_is_refused_while_the_first_one_trains(tmp_path: Path) -> None:
    """Training from scratch: the second process ends in a line and leaves the first one's files alone."""
    path = command_line.recipe(tmp_path, command_line.MICRO)
    refused: list[subprocess.CompletedProcess[str]] = []

    class Second(pipeline.NoProgress):
        def update(self, done: int, note: str = "") -> None:
            if note.startswith("loss") and not refused:
                refused.append(command_line.z1("train", path, cwd=tmp_path))

    pipeline.train(recipes.load(path), tmp_path / "runs" / "micro", Second())
    (second,) = refused
    assert second.returncode == 2
    last = second.stderr.strip().splitlines()[-1]
    assert re.search(r"z1: stage runs/micro/train-\w+: got another process is working on it; wait for it", last), last
    assert "Traceback" not in second.stderr
    assert command_line.z1("train", path, cwd=tmp_path).returncode == 0


FINETUNE = """
name = "tuned"
base = "{base}"
[finetune]
profile = "z1-tiny"
data = "{data}"
max_length = 256
epochs = 1.0
batch_samples = 8
micro_tokens = {micro}
learning_rate = 1e-3
held_out = 0.1
precision = "float32"
max_dropped = {left_out}
[evaluate]
problems = 4
thinking_budgets = [4]
max_answer_tokens = 8
[report]
title = "tuned"
"""


def tuned(folder: Path, micro: int = 512, left_out: float = 0.05) -> Recipe:
    """A recipe that fine-tunes a model of random weights on a dataset of two columns."""
    if not (folder / "base").exists():
        small.model().save_pretrained(folder / "base")
        small.tokenizer().save_pretrained(folder / "base")
        rows = ({"question": row.question, "response": row.thought + row.answer} for row in small.rows())
        runs.write_lines(folder / "rows.jsonl", rows)
    names = {"base": (folder / "base").as_posix(), "data": (folder / "rows.jsonl").as_posix()}
    path = folder / "tuned.toml"
    path.write_text(FINETUNE.format(**names, micro=micro, left_out=left_out), encoding="utf-8")
    return recipes.load(path)


def test_fine_tuning_writes_a_model_with_its_profile(tmp_path: Path) -> None:
    run, shown = tmp_path / "runs" / "tuned", list[PreparedTraining]()
    model = pipeline.train(tuned(tmp_path), run, pipeline.NoProgress(), shown.append)
    text = runs.read_json(model / "z1.json")
    assert (text["name"], text["profile"], text["base"]) == ("tuned", "z1-tiny", (tmp_path / "base").as_posix())
    assert text["data"] == shown[0].data_info
    assert text["steps"] == shown[0].preflight.schedule.steps == len(shown[0].preflight.rows) // 8
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    progress = RecordedProgress()
    # another amount at once is the same training; it is done, and nothing more is shown
    assert pipeline.train(tuned(tmp_path, micro=300, left_out=0.5), run, progress, shown.append) == model
    assert len(shown) == 1
    assert hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest() == weights
    assert not [note for note in progress.notes if "loss" in note]


@pytest.mark.slow
def test_a_training_in_a_process_of_its_own_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, progress = tuned(tmp_path), RecordedProgress()
    model = pipeline.train_apart(recipe, tmp_path / "runs" / "tuned", progress)
    plain = pipeline.train(recipe, tmp_path / "plain" / "tuned", pipeline.NoProgress())
    weights = [(folder / "model.safetensors").read_bytes() for folder in (model, plain)]
    assert weights[0] == weights[1] and progress.notes[-1] == f"model in {model}"
    assert [note for note in progress.notes if "loss" in note]
    monkeypatch.setattr("z1.train.own_process.call", None)  # what is done needs no process
    assert pipeline.train_apart(recipe, tmp_path / "runs" / "tuned", progress) == model


def test_a_refused_preflight_is_shown_and_not_trained(tmp_path: Path) -> None:
    recipe, shown = tuned(tmp_path), list[PreparedTraining]()
    finetune = recipes.required_table(recipe.finetune, "finetune").model_copy(update={"steps": 77})
    with pytest.raises(UserError, match=r"^steps: got \d from .* not the 77 of the recipe"):
        pipeline.train(
            recipe.model_copy(update={"finetune": finetune}), tmp_path / "run", pipeline.NoProgress(), shown.append
        )
    assert len(shown) == 1
    assert not list((tmp_path / "run").glob("train-*/*"))


def test_missing_attempts_leave_the_stage_open_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [True]

    def says_seven(context: Sequence[int]) -> int:
        text = "".join(map(chr, context))
        if faults and "while" in text:
            raise EngineFault("the power went")
        text = text.rpartition("\\boxed{")[2] if "\\boxed{" in text else ""
        return ord("7}."[len(text)]) if "\\boxed{" in text and len(text) < 3 else 3

    engine = ScriptedEngine(says_seven)
    monkeypatch.setattr("z1.engines.local.engine.load", lambda *_: engine)
    recipe, progress = recipes.load(command_line.recipe(tmp_path)), RecordedProgress()
    folder = pipeline.evaluate(recipe, tmp_path / "run", progress, "some/model")
    assert "attempts missing" in progress.notes[-1]
    assert not (folder / "stage.json").exists()
    before = sum(point["missing"] for point in runs.read_json(folder / "curve.json")["points"])
    assert 0 < before < 48
    faults.clear()
    total, notes = recipe.evaluate.problems, len(progress.notes)
    assert pipeline.evaluate(recipe, tmp_path / "run", progress, "some/model") == folder
    counted = [int(note.partition(" ")[0]) for note in progress.notes[notes:-1]]
    assert 0 < counted[0] < total and counted == [counted[0], *range(counted[0] + 1, total + 1)]
    assert (folder / "stage.json").is_file()
    assert {point["missing"] for point in runs.read_json(folder / "curve.json")["points"]} == {0}


@pytest.mark.slow
def test_an_evaluation_that_is_killed_and_restarted_has_the_same_result(finished: Path, tmp_path: Path) -> None:
    """kill -9 as soon as an attempt is on disk; kills of the other stages stand in tests/curate and tests/train."""
    path, run = command_line.recipe(tmp_path), tmp_path / "runs" / "micro"
    command = [sys.executable, "-m", "z1.cli.main", "evaluate", str(path), "--runs", str(tmp_path / "runs")]
    with subprocess.Popen(command, env=command_line.environment(), stderr=subprocess.DEVNULL) as process:
        while not any(p.stat().st_size for p in run.glob(f"evaluate-*/{ATTEMPTS}")) and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    before = sum(p.read_bytes().count(b"\n") for p in run.glob(f"evaluate-*/{ATTEMPTS}"))
    assert 0 < before <= 48
    recipe = recipes.load(path)
    pipeline.report(recipe, run, pipeline.NoProgress(), pipeline.evaluate(recipe, run, pipeline.NoProgress()))
    assert digest(run) == digest_of_plain_run(finished)
    assert {key: value.token_ids for key, value in attempts(run).items()} == {
        key: value.token_ids for key, value in attempts(finished).items()
    }
    lines = (next(run.glob("evaluate-*")) / ATTEMPTS).read_bytes().splitlines()
    assert len(lines) == 48


def digest_of_plain_run(finished: Path) -> dict[str, str]:
    kept = {path.name for path in finished.glob("*-*") if (path / "stage.json").is_file()}
    first = {name: value for name, value in digest(finished).items() if name.split("/")[0] in {*kept, "report"}}
    extra = sorted(finished.glob("curate-*"), key=lambda p: p.stat().st_mtime)[1:]
    return {name: value for name, value in first.items() if name.split("/")[0] not in {p.name for p in extra}}
