"""`z1 run --dry-run` lists the stages, which are done, and how long the others take; nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import command_line
from z1 import pipeline, recipe, runs
from z1.cli import run


def test_a_recipe_of_the_package_is_found_by_name_and_its_bases_come_first(tmp_path: Path) -> None:
    done = command_line.z1("run", "tiny", "--dry-run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    bases = ["tiny-base", "tiny-variables", "tiny-terse", "tiny-practice", "tiny-brief", "tiny-small", "z1-first"]
    pairs = [(name, stage) for name in (*bases, "z1-tiny") for stage in ("curate", "train")]
    assert [(one["recipe"], one["stage"]) for one in found["stages"]] == [
        *pairs, ("z1-tiny", "evaluate"), ("z1-tiny", "report")
    ]  # fmt: skip
    assert not any(one["is_done"] for one in found["stages"])
    assert 60 < found["expected_minutes"] < 85  # curation and evaluation included
    assert list(tmp_path.iterdir()) == []


def test_finished_stages_do_not_count(tmp_path: Path) -> None:
    chosen = recipe.load("tiny-base")
    for stage, key in (("curate", pipeline.curation_key(chosen)), ("train", pipeline.training_key(chosen))):
        runs.stage(tmp_path / chosen.name, stage, key, {}).finish({})
    planned = run.plan(chosen, tmp_path)
    assert [one.is_done for one in planned] == [True, True, False, False]
    assert "4 stages, 2 done; the others take about 1 minutes" in run.summary(planned)
    changed = chosen.model_copy(update={"seed": 9})
    assert not any(one.is_done for one in run.plan(changed, tmp_path))


def test_a_time_that_is_not_known_is_not_made_up(tmp_path: Path) -> None:
    text = command_line.MICRO.replace("seed = 3", 'seed = 3\nbase = "models/some"')
    path = command_line.recipe(tmp_path, text[: text.index("[model]")] + text[text.index("[train]") :])
    planned = run.plan(recipe.load(path), tmp_path)
    assert [one.expected_minutes is None for one in planned] == [False, True, True, False]
    assert run.expected_minutes(planned) is None
    assert "time not known in advance" in run.summary(planned)


def test_the_table_has_a_row_for_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(run.app, ["tiny", "--dry-run"])
    assert found.exit_code == 0, found.output
    for words in ("tiny-terse      train     no", "z1-tiny         evaluate  no", "18 stages, 0 done"):
        assert words in found.output
