"""`z1 recipe` checks every kind of file without running it, and prints the schema that is in the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import command_line
from z1.cli import recipe
from z1.errors import UserError
from z1.settings import PACKAGED

ROOT = Path(__file__).parents[2]
PLAN = 'name = "p"\n[[source]]\npath = "a.jsonl"\n[decontaminate]\nagainst = ["gsm8k"]\n'


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("tiny", "recipe z1-tiny, no faults"),
        (ROOT / "experiments" / "tiny" / "study.toml", "study tiny, no faults"),
        (ROOT / "experiments" / "paper" / "table-1.toml", "comparison paper-table-1, no faults"),
    ],
)
def test_a_file_of_any_kind_is_checked(path: Path | str, said: str) -> None:
    done = CliRunner().invoke(recipe.app, ["check", str(path)])
    assert done.exit_code == 0 and done.output.strip().endswith(said)


def test_a_plan_is_checked_without_reading_its_sources(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    done = CliRunner().invoke(recipe.app, ["check", str(path), "--json"])
    assert json.loads(done.output) == {"file": str(path), "kind": "plan", "name": "p"}
    for change, words in (
        ("source.0.path=b.jsonl", "give the path of a table"),
        ("decontaminate.against.0=gsm", "gsm"),
        ("source.0.hub=nowhere", "choose one of evol"),
    ):
        done = CliRunner().invoke(recipe.app, ["check", str(path), "--set", change])
        assert isinstance(done.exception, UserError) and words in str(done.exception)


def test_a_study_is_checked_with_its_recipes(tmp_path: Path) -> None:
    text = 'name = "s"\nreference = "a"\n[arms]\na = { recipe = "no.toml" }\n[[evaluate]]\n'
    text += "problems = 1\nthinking_budgets = [1]\nmax_answer_tokens = 1\n"
    (tmp_path / "study.toml").write_text(text)
    done = CliRunner().invoke(recipe.app, ["check", str(tmp_path / "study.toml")])
    assert isinstance(done.exception, UserError) and "no.toml" in str(done.exception)


def test_a_fault_is_one_line_with_its_place(tmp_path: Path) -> None:
    path = command_line.recipe(tmp_path)
    path.write_text(path.read_text().replace("seed", "sead", 1))
    done = command_line.z1("recipe", "check", path.name, cwd=tmp_path)
    line = 1 + path.read_text().splitlines().index(next(x for x in path.read_text().splitlines() if "sead" in x))
    assert done.returncode == 2
    assert done.stderr == f"z1: recipe micro.toml:{line}: got the unknown key sead; did you mean seed?\n"


@pytest.mark.parametrize("kind", recipe.Kind)
def test_the_schema_is_that_of_the_package(kind: recipe.Kind) -> None:
    done = CliRunner().invoke(recipe.app, ["schema", kind.value])
    assert done.output == (PACKAGED / "schemas" / f"{kind}.json").read_text("utf-8")
