"""Every fault of a recipe is one line that names the file, the key and what to do."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from z1.comparison import is_comparison
from z1.errors import UserError
from z1.recipe import SHIPPED, CurateSettings, find, load

ROOT = Path(__file__).parent.parent
EVERY = sorted([*SHIPPED.glob("*.toml"), *(ROOT / "experiments").glob("*/*.toml")])
STUDIES = [path for path in EVERY if path.stem == "study"]
COMPARISONS = [path for path in EVERY if is_comparison(path)]
RECIPES = [path for path in EVERY if path not in (*STUDIES, *COMPARISONS)]

TEXT = """
name = "small"
seed = 1

[curate]
problems = 40
steps = [1, 12]
direct_up_to = 2
compact_up_to = 4

[model]
vocabulary = 512
hidden = 128
layers = 4
heads = 4
key_value_heads = 2
feed_forward = 256
context = 512

[train]
epochs = 2.0
batch_tokens = 1500
muon_lr = 0.01
adamw_lr = 0.003
warmup_steps = 50
decay_share = 0.4
hint_share = 0.06
repeats = { direct = 3 }
threads = 1

[evaluate]
problems = 48
thinking_budgets = [0, 8, 16]
max_answer_tokens = 24

[report]
title = "small"
"""


def fault(path: Path, text: str) -> str:
    """The one line with which a recipe of this text is refused."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(path)
    line = str(caught.value)
    assert line == f"{caught.value.what}: got {caught.value.got}; {caught.value.do}"
    assert "\n" not in line
    assert str(path) in line
    return line


def test_every_recipe_that_ships_loads() -> None:
    assert "z1-tiny" in [load(path).name for path in RECIPES]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_what_stands_in_the_file_is_what_is_loaded(path: Path) -> None:
    loaded = load(path).model_dump(mode="json")
    if (base := load(path).base_recipe) is not None:
        assert base in RECIPES
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    tables = [name for name, value in said.items() if isinstance(value, dict)]
    assert len(tables) == (3 if "finetune" in said else 4 if "base" in said else 5)
    for table in tables:
        assert said[table].items() <= loaded[table].items()
    assert {**said, **{table: loaded[table] for table in tables}}.items() <= loaded.items()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 1", "sed = 1", ["the unknown key sed", "did you mean seed?"]),
        ("hint_share =", "hint_shar =", ["the unknown key train.hint_shar", "did you mean hint_share?"]),
        ("[report]", "[reports]", ["the unknown key reports", "did you mean report?"]),
        ("layers =", "layer =", ["the unknown key model.layer", "did you mean layers?"]),
        ("threads = 1", "threads = 1\ncolour = 'red'", ["the unknown key train.colour", "leave it out"]),
        ("problems = 40\n", "", ["no key curate.problems", "add it"]),
        ("seed = 1", "seed = 'one'", ["key seed", "'one'", "integer"]),
        ("seed = 1", "seed = '1'", ["key seed", "'1'", "integer"]),
        ("seed = 1", "seed = true", ["key seed", "True", "integer"]),
        ("seed = 1", "seed = 1979-05-27", ["key seed", "1979-05-27", "integer"]),
        ("layers = 4", "layers = 0", ["key model.layers", "0", "greater than 0"]),
        ("epochs = 2.0", "epochs = inf", ["key train.epochs", "finite"]),
        ("epochs = 2.0", "epochs = nan", ["key train.epochs", "finite"]),
        ("direct = 3", "direct = 'three'", ["key train.repeats.direct", "'three'"]),
        ("[0, 8,", "[0, 8.5,", ["key evaluate.thinking_budgets.1", "8.5"]),
        ("[0, 8,", "[0, -8,", ["key evaluate.thinking_budgets.1", "-8"]),
        ("[1, 12]", "[1]", ["key curate.steps"]),
        ("[1, 12]", "[1, 0]", ["key curate.steps", "fewest"]),
        ("[1, 12]", "[0, 12]", ["key curate.steps", "fewest"]),
        ('name = "small"', 'name = "../z1"', ["key name", "../z1"]),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, str) else "",
)
def test_a_fault_in_a_recipe_is_one_line_that_names_its_key(
    tmp_path: Path, old: str, new: str, said: list[str]
) -> None:
    assert old in TEXT
    line = fault(tmp_path / "my.toml", TEXT.replace(old, new, 1))
    assert [part for part in said if part in line] == said


@pytest.mark.parametrize("table", ["curate", "model", "train", "evaluate", "report"])
def test_a_table_that_is_missing_empty_or_no_table_is_named(tmp_path: Path, table: str) -> None:
    blocks = TEXT.split("\n[")
    others = "\n[".join(block for block in blocks if not block.startswith(table))
    assert f"no key {table};" in fault(tmp_path / "none.toml", others)
    assert f"no key {table}." in fault(tmp_path / "empty.toml", f"{others}\n[{table}]\n")
    assert f"key {table}: got 3;" in fault(tmp_path / "number.toml", f"{table} = 3\n{others}")


def test_a_recipe_begins_with_a_base_or_from_scratch_and_not_with_both(tmp_path: Path) -> None:
    said = fault(tmp_path / "both.toml", TEXT.replace("seed = 1", 'seed = 1\nbase = "some/model"'))
    assert said.endswith("got base and [model]; leave one of them out")
    text = re.sub(r"\[model\].*?(?=\[train\])", "", TEXT, flags=re.DOTALL)
    assert fault(tmp_path / "none.toml", text).endswith("got no key model; add it, or say with which base to begin")


@pytest.mark.parametrize("text", ["name = ", "[curate", "a = 1\na = 2", "\x00"], ids=repr)
def test_what_is_no_toml_is_said_with_its_place(tmp_path: Path, text: str) -> None:
    line = fault(tmp_path / "broken.toml", text)
    assert "no TOML" in line
    assert "line " in line or "at end of document" in line


def test_an_empty_file_lacks_its_first_key(tmp_path: Path) -> None:
    assert "no key name" in fault(tmp_path / "empty.toml", "")


def test_a_file_that_is_no_text_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="no TOML"):
        load(tmp_path / "binary.toml")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"give the path of a \.toml file") as caught:
        load(tmp_path / "none.toml")
    assert str(tmp_path / "none.toml") in str(caught.value)


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    recipe = load(RECIPES[0])
    with pytest.raises(ValidationError, match="frozen"):
        recipe.evaluate.problems = 3


def test_settings_made_in_python_are_checked_as_those_of_a_file_are() -> None:
    with pytest.raises(ValidationError, match="fewest"):
        CurateSettings(problems=1, steps=(3, 2), direct_up_to=0, compact_up_to=0)


def test_a_recipe_is_found_beside_the_one_that_names_it_before_those_that_ship(tmp_path: Path) -> None:
    assert find("tiny") == find("tiny.toml") == SHIPPED / "tiny.toml"
    assert find("tiny.toml", tmp_path) == SHIPPED / "tiny.toml"
    (tmp_path / "tiny.toml").write_text(TEXT, encoding="utf-8")
    assert find("tiny.toml", tmp_path) == find(tmp_path / "tiny.toml") == tmp_path / "tiny.toml"
    assert find("tiny", tmp_path) == SHIPPED / "tiny.toml"
    assert find(tmp_path / "none" / "tiny.toml") == tmp_path / "none" / "tiny.toml"
    text = re.sub(r"\[model\].*?(?=\[train\])", "", TEXT, flags=re.DOTALL)
    for base, found in (("tiny.toml", tmp_path / "tiny.toml"), ("tiny-base.toml", SHIPPED / "tiny-base.toml")):
        (tmp_path / "mine.toml").write_text(text.replace("seed = 1", f'seed = 1\nbase = "{base}"'), encoding="utf-8")
        assert load(tmp_path / "mine.toml").base_recipe == found
    (tmp_path / "mine.toml").write_text(text.replace("seed = 1", 'seed = 1\nbase = "tiny"'), encoding="utf-8")
    assert load(tmp_path / "mine.toml").base_recipe is None
