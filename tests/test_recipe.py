"""Recipes: every fault is one line with the file, the key and what to do; files of other kinds are named."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from z1 import comparison, study
from z1.comparison import is_comparison
from z1.curate import plan
from z1.errors import UserError
from z1.recipe import CurateSettings, find, load
from z1.settings import PACKAGED, kind_of

ROOT = Path(__file__).parent.parent
EVERY = sorted([*PACKAGED.glob("*.toml"), *(ROOT / "experiments").glob("*/*.toml")])
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
    """The error message for a recipe with this text."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(path)
    line = str(caught.value)
    assert line == f"{caught.value.what}: got {caught.value.got}; {caught.value.do}"
    assert "\n" not in line
    assert str(path) in line
    return line


def test_every_packaged_recipe_loads() -> None:
    assert "z1-tiny" in [load(path).name for path in RECIPES]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_loaded_values_are_those_of_the_file(path: Path) -> None:
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
        ("threads = 1", "threads = 1\ncolour = 'red'", ["the unknown key train.colour", "remove it"]),
        ("problems = 40\n", "", ["no key curate.problems", "add it"]),
        ("seed = 1", "seed = 'one'", ["key seed", "'one'", "integer"]),
        ("seed = 1", "seed = '1'", ["key seed", "'1'", "integer"]),
        ("seed = 1", "seed = true", ["key seed", "True", "integer"]),
        ("seed = 1", "seed = 1979-05-27", ["key seed", "1979-05-27", "integer"]),
        ("layers = 4", "layers = 0", ["key model.layers", "0", "greater than 0"]),
        ("epochs = 2.0", "epochs = inf", ["key train.epochs", "finite"]),
        ("epochs = 2.0", "epochs = nan", ["key train.epochs", "finite"]),
        ("direct = 3", "direct = 'three'", ["key train.repeats.direct", "'three'"]),
        ("[0, 8, 16]", "[0, 8]\ngrace_tokens = 4", ["grace_tokens in a shared thought", "set separate_runs = true"]),
        ("[0, 8, 16]", "[0, 8]\nrepetition = false", ["key evaluate.repetition"]),
        ("[0, 8,", "[0, 8.5,", ["key evaluate.thinking_budgets.1", "8.5"]),
        ("[0, 8,", "[0, -8,", ["key evaluate.thinking_budgets.1", "-8"]),
        ("[1, 12]", "[1]", ["key curate.steps"]),
        ("[1, 12]", "[1, 0]", ["key curate.steps", "minimum"]),
        ("[1, 12]", "[0, 12]", ["key curate.steps", "minimum"]),
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
def test_a_missing_empty_or_wrong_table_is_named(tmp_path: Path, table: str) -> None:
    blocks = TEXT.split("\n[")
    others = "\n[".join(block for block in blocks if not block.startswith(table))
    assert f"no key {table};" in fault(tmp_path / "none.toml", others)
    assert f"no key {table}." in fault(tmp_path / "empty.toml", f"{others}\n[{table}]\n")
    assert f"key {table}: got 3;" in fault(tmp_path / "number.toml", f"{table} = 3\n{others}")


def test_a_recipe_has_either_a_base_or_a_model(tmp_path: Path) -> None:
    said = fault(tmp_path / "both.toml", TEXT.replace("seed = 1", 'seed = 1\nbase = "some/model"'))
    assert said.endswith("got base and [model]; leave one of them out")
    text = re.sub(r"\[model\].*?(?=\[train\])", "", TEXT, flags=re.DOTALL)
    assert fault(tmp_path / "none.toml", text).endswith("got no key model; add it, or set base")


@pytest.mark.parametrize("text", ["name = ", "[curate", "a = 1\na = 2", "\x00"], ids=repr)
def test_invalid_toml_is_reported_with_its_position(tmp_path: Path, text: str) -> None:
    line = fault(tmp_path / "broken.toml", text)
    assert "invalid TOML" in line
    assert "line " in line or "at end of document" in line


def test_an_empty_file_lacks_the_key_name(tmp_path: Path) -> None:
    assert "no key name" in fault(tmp_path / "empty.toml", "")


def test_a_binary_file_is_invalid_toml(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="invalid TOML"):
        load(tmp_path / "binary.toml")


EVALUATION = "[[evaluate]]\nproblems = 8\nthinking_budgets = [0]\nmax_answer_tokens = 8\n"

FILES = {
    "recipe": TEXT,
    "study": 'name = "a"\nreference = "z1"\n[arms]\nz1 = { recipe = "tiny" }\n' + EVALUATION,
    "comparison": 'name = "a"\n[models]\nm = { path = "m" }\n' + EVALUATION,
    "curation plan": 'name = "a"\n[[source]]\nsynthetic = "programs"\n',
}
"""A small file of each kind."""

READERS: dict[str, Callable[[Path], object]] = {
    "recipe": load,
    "study": study.load,
    "comparison": comparison.load,
    "curation plan": plan.read,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_another_kind_is_named_with_the_verb_that_runs_it(tmp_path: Path, kind: str, reader: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(FILES[kind], encoding="utf-8")
    assert kind_of(path) == kind
    if kind == reader:
        READERS[reader](path)
        return
    with pytest.raises(UserError) as caught:
        READERS[reader](path)
    verb = {"recipe": "run", "study": "study", "comparison": "evaluate", "curation plan": "curate"}[kind]
    assert str(caught.value) == f"{reader} {path}: got a {kind}; run `z1 {verb} {path}`"


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_the_kind_of_every_packaged_file_is_known(path: Path) -> None:
    expected = "study" if path in STUDIES else "comparison" if path in COMPARISONS else "recipe"
    assert kind_of(path) == expected


@pytest.mark.parametrize(
    "text", ["", "name = ", "[models]\n[arms]\n", "[model]\n[models]\n", "[[evaluate]]\nproblems = 1\n"], ids=repr
)
def test_a_file_that_is_invalid_or_of_two_kinds_has_no_kind(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.toml").write_text(text, encoding="utf-8")
    assert kind_of(tmp_path / "file.toml") is None
    assert kind_of(tmp_path / "none.toml") is None


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, reader: str) -> None:
    for path, got in ((tmp_path / "none.toml", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(UserError) as caught:
            READERS[reader](path)
        do = "give the path of a .toml file"
        names = ", or a packaged recipe (tiny, tiny-base, " if reader == "recipe" else ""
        assert str(caught.value).startswith(f"{reader} {path}: got {got}; {do}{names}")


def test_settings_are_immutable() -> None:
    recipe = load(RECIPES[0])
    with pytest.raises(ValidationError, match="frozen"):
        recipe.evaluate.problems = 3


def test_settings_created_in_python_are_validated_too() -> None:
    with pytest.raises(ValidationError, match="minimum"):
        CurateSettings(problems=1, steps=(3, 2), direct_up_to=0, compact_up_to=0)


def test_a_base_is_found_beside_its_recipe_before_the_packaged_ones(tmp_path: Path) -> None:
    assert find("tiny") == find("tiny.toml") == PACKAGED / "tiny.toml"
    assert find("tiny.toml", tmp_path) == PACKAGED / "tiny.toml"
    (tmp_path / "tiny.toml").write_text(TEXT, encoding="utf-8")
    assert find("tiny.toml", tmp_path) == find(tmp_path / "tiny.toml") == tmp_path / "tiny.toml"
    assert find("tiny", tmp_path) == PACKAGED / "tiny.toml"
    assert find(tmp_path / "none" / "tiny.toml") == tmp_path / "none" / "tiny.toml"
    text = re.sub(r"\[model\].*?(?=\[train\])", "", TEXT, flags=re.DOTALL)
    for base, found in (("tiny.toml", tmp_path / "tiny.toml"), ("tiny-base.toml", PACKAGED / "tiny-base.toml")):
        (tmp_path / "mine.toml").write_text(text.replace("seed = 1", f'seed = 1\nbase = "{base}"'), encoding="utf-8")
        assert load(tmp_path / "mine.toml").base_recipe == found
    (tmp_path / "mine.toml").write_text(text.replace("seed = 1", 'seed = 1\nbase = "tiny"'), encoding="utf-8")
    assert load(tmp_path / "mine.toml").base_recipe is None


def test_a_base_folder_is_found_beside_its_recipe_and_a_hub_id_stays(tmp_path: Path) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    text = re.sub(r"\[model\].*?(?=\[train\])", "", TEXT, flags=re.DOTALL)
    for base, found in (("models/small", str(tmp_path / "models" / "small")), ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B")):
        (tmp_path / "mine.toml").write_text(text.replace("seed = 1", f'seed = 1\nbase = "{base}"'), encoding="utf-8")
        recipe = load(tmp_path / "mine.toml")
        assert (recipe.base, recipe.base_model, recipe.base_recipe) == (base, found, None)
