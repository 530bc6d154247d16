"""`z1 train` trains a recipe's model and continues, and passes what was typed on to the pre-flight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests import command_line
from z1.cli import train
from z1.recipe import load


def test_a_model_is_trained_once(tmp_path: Path) -> None:
    recipe = command_line.recipe(tmp_path)
    for _ in range(2):
        done = command_line.z1("train", recipe, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (model,) = (tmp_path / "runs" / "micro").glob("train-*/model")
    assert f"model in {model.relative_to(tmp_path)}" in done.stderr


def test_preflight_passes_on_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(train, "print_preflight", lambda *given, **named: found.append((given, named)))
    recipe = command_line.recipe(tmp_path)
    changes = ["--set", "train.epochs=3", "--set", "name=other"]
    done = CliRunner().invoke(
        train.app, [str(recipe), *changes, "--preflight", "--processes", "4", "--runs", "r", "--json"]
    )
    assert done.exit_code == 0, done.output
    expected = load(recipe, ["train.epochs=3", "name=other"])
    assert (expected.name, expected.train and expected.train.epochs) == ("other", 3.0)
    assert found == [((expected, Path("r"), 4), {"as_json": True})]


def test_a_recipe_without_finetuning_has_no_preflight(tmp_path: Path) -> None:
    done = command_line.z1("train", command_line.recipe(tmp_path), "--preflight", cwd=tmp_path)
    assert done.returncode == 2 and "[finetune]" in done.stderr
