"""A plan is distinguished from a recipe, and each error in it is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from z1.curate import plan as plans
from z1.errors import UserError

SOURCE = 'name = "a"\n[[source]]\npath = "t.jsonl"\n'
TEACHER = '[teacher]\nurl = "http://x"\nmodel = "m"\n'


def read(folder: Path, text: str) -> plans.CuratePlan:
    (folder / "plan.toml").write_text(text)
    (folder / "t.jsonl").touch()
    return plans.read(folder / "plan.toml")


def test_paths_are_relative_to_the_plan(tmp_path: Path) -> None:
    plan = read(tmp_path, SOURCE + TEACHER + '[decontaminate.data]\ngsm8k = "g.jsonl"\n')
    assert plan.source[0].path == str(tmp_path / "t.jsonl")
    assert plan.decontaminate is not None and plan.decontaminate.data == {"gsm8k": str(tmp_path / "g.jsonl")}
    assert plan.teacher is not None and plan.teacher.max_tokens == 8192 and plan.teacher.temperature == 0


def test_a_recipe_and_an_invalid_file_are_not_plans(tmp_path: Path) -> None:
    assert not plans.is_plan(tmp_path / "nowhere.toml")
    for text, whether in ((SOURCE, True), ("[curate]\nproblems = 1\n", False), ("[[source", False)):
        (tmp_path / "a.toml").write_text(text)
        assert plans.is_plan(tmp_path / "a.toml") is whether


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SOURCE + 'colums = {question = "q"}\n', "did you mean columns"),
        (SOURCE + TEACHER + "max_token = 3\n", "did you mean max_tokens"),
        (SOURCE + 'columns = {id = "q"}\n', "map a column to question"),
        (SOURCE + 'columns = {quastion = "q"}\n', "columns"),
        (SOURCE + TEACHER + "samples = 2\n", "greedy samples are all the same"),
        (SOURCE + TEACHER + '[teacher.levels]\na = "no place"\n', "put {question} into each prompt"),
        (SOURCE.replace("t.jsonl", "no.jsonl"), "source.path"),
        ('name = "a"\nsource = []\n', "source"),
    ],
)
def test_an_error_is_one_line_with_the_remedy(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value) and "\n" not in str(caught.value)
