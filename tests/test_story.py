"""Does the whole story go from nothing to the report, once, however often it is stopped?"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import stories
from z1 import recipe as recipes
from z1 import runs, story
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.evaluate import read_attempts
from z1.evaluate.running import ATTEMPTS
from z1.records import Attempt


class Noted(story.Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def at(self, done: int, note: str = "") -> None:
        self.notes.append(f"{done} {note}")

    def end(self, note: str) -> None:
        self.notes.append(note)


def digest(folder: Path) -> dict[str, str]:
    """The hash of every result, but for when and by what it was made."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".jsonl", ".safetensors", ".html", ".svg")]
    kept = [p for p in files if p.name != ATTEMPTS]  # its lines are in the order in which they were done
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


def attempts(run: Path) -> dict[tuple[str, int | None, int], Attempt]:
    return read_attempts(next(run.glob("evaluate-*")))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    run = folder / "runs" / "micro"
    recipe = recipes.load(stories.recipe(folder))
    story.report(recipe, run, story.Silent(), story.evaluate(recipe, run, story.Silent()))
    return run


def test_every_stage_leaves_what_the_next_one_needs(told: Path) -> None:
    assert {path.name.split("-")[0] for path in told.iterdir()} == {"curate", "train", "evaluate", "report"}
    assert (told / "report" / "index.html").stat().st_size > 10_000
    numbers = runs.read_json(next(told.glob("evaluate-*")) / "curve.json")
    assert [point["window"] for point in numbers["points"]] == [0, 4, 16, None]
    assert numbers["model"] == "micro"
    assert Counter(len(read_attempts(p)) for p in told.glob("evaluate-*")) == {48: 1}


def test_a_finished_stage_is_passed_over(told: Path) -> None:
    before = digest(told)
    watch = Noted()
    began = time.monotonic()
    story.evaluate(recipes.load(stories.recipe(told.parent.parent)), told, watch)
    assert time.monotonic() - began < 20
    assert not [note for note in watch.notes if note.startswith("1 ")]
    assert digest(told) == before


def test_a_changed_setting_is_another_folder_and_nothing_is_overwritten(told: Path, tmp_path: Path) -> None:
    changed = stories.recipe(tmp_path, stories.MICRO.replace("compact_up_to = 4", "compact_up_to = 5"))
    before = digest(told)
    story.curate(recipes.load(changed), told, story.Silent())
    assert len(list(told.glob("curate-*"))) == 2
    assert {name: hash_ for name, hash_ in digest(told).items() if name in before} == before


def test_missing_attempts_leave_the_stage_open_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [True]

    def says_seven(context: Sequence[int]) -> int:
        text = "".join(map(chr, context))
        if faults and "while" in text:
            raise EngineFault("the power went")
        said = text.rpartition("\\boxed{")[2] if "\\boxed{" in text else ""
        return ord("7}."[len(said)]) if "\\boxed{" in text and len(said) < 3 else 3

    engine = ScriptedEngine(says_seven)
    monkeypatch.setattr("z1.engines.local.load", lambda *_: engine)
    recipe, watch = recipes.load(stories.recipe(tmp_path)), Noted()
    folder = story.evaluate(recipe, tmp_path / "run", watch, "some/model")
    assert "attempts missing" in watch.notes[-1]
    assert not (folder / "stage.json").exists()
    before = sum(point["missing"] for point in runs.read_json(folder / "curve.json")["points"])
    assert 0 < before < 48
    faults.clear()
    assert story.evaluate(recipe, tmp_path / "run", watch, "some/model") == folder
    assert (folder / "stage.json").is_file()
    assert {point["missing"] for point in runs.read_json(folder / "curve.json")["points"]} == {0}


def test_killed_while_it_evaluates_and_started_again_it_ends_alike(told: Path, tmp_path: Path) -> None:
    """kill -9 as soon as an attempt is on disk; kills of the other stages stand in tests/curate and tests/train."""
    path, run = stories.recipe(tmp_path), tmp_path / "runs" / "micro"
    command = [sys.executable, "-m", "z1.cli", "evaluate", str(path), "--runs", str(tmp_path / "runs")]
    with subprocess.Popen(command, env=stories.environment(), stderr=subprocess.DEVNULL) as process:
        while not any(p.stat().st_size for p in run.glob(f"evaluate-*/{ATTEMPTS}")) and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    before = sum(p.read_bytes().count(b"\n") for p in run.glob(f"evaluate-*/{ATTEMPTS}"))
    assert 0 < before <= 48
    recipe = recipes.load(path)
    story.report(recipe, run, story.Silent(), story.evaluate(recipe, run, story.Silent()))
    assert digest(run) == digest_of_plain_run(told)
    assert {key: value.ids for key, value in attempts(run).items()} == {
        key: value.ids for key, value in attempts(told).items()
    }
    lines = (next(run.glob("evaluate-*")) / ATTEMPTS).read_bytes().splitlines()
    assert len(lines) == 48


def digest_of_plain_run(told: Path) -> dict[str, str]:
    kept = {path.name for path in told.glob("*-*") if (path / "stage.json").is_file()}
    first = {name: value for name, value in digest(told).items() if name.split("/")[0] in {*kept, "report"}}
    extra = sorted(told.glob("curate-*"), key=lambda p: p.stat().st_mtime)[1:]
    return {name: value for name, value in first.items() if name.split("/")[0] not in {p.name for p in extra}}
