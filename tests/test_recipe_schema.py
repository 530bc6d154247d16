"""Editors know every recipe: the committed schemas are those of the settings, and mark a fault in its line."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from z1 import settings
from z1.cli.recipe import Kind, kind_of, settings_of
from z1.errors import UserError
from z1.recipe import load
from z1.recipe_schema import json_schema
from z1.settings import PACKAGED
from z1.toml_lines import find_line

ROOT = Path(__file__).parent.parent
OWN_SETTINGS = ROOT / "experiments" / "real"
"""Its TOML files are read by its own command."""

EVERY = sorted(
    path for path in [*PACKAGED.glob("*.toml"), *(ROOT / "experiments").glob("*/*.toml")] if path.parent != OWN_SETTINGS
)
PAPER = PACKAGED / "z1-7b.toml"
PLAN = """name = "p"
[[source]]
path = "a.jsonl"
columns = { question = "q" }
[teacher]
url = "http://x/v1"
model = "m"
prices = [1.0, 2.0]
[check]
repetition = 0.2
"""


def schema_of(kind: Kind) -> dict[str, Any]:
    return dict(json.loads((PACKAGED / "schemas" / f"{kind}.json").read_text("utf-8")))


@pytest.mark.parametrize("kind", Kind)
def test_the_committed_schema_is_that_of_the_settings(kind: Kind) -> None:
    """`z1 recipe schema KIND > src/z1/recipes/schemas/KIND.json` writes it."""
    found = schema_of(kind)
    assert found == json_schema(settings_of(kind))
    Draft7Validator.check_schema(found)


def test_every_setting_has_the_description_of_its_class() -> None:
    table = schema_of(Kind.RECIPE)["$defs"]["FinetuneSettings"]["properties"]
    assert table["learning_rate"]["description"] == "Peak learning rate of AdamW."
    assert table["betas"]["items"] == [{"type": "number"}, {"type": "number"}]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_file_names_its_schema_and_is_valid(path: Path) -> None:
    text = path.read_text("utf-8")
    kind = kind_of(settings.kind_of(path) or "")
    named = text.splitlines()[0].removeprefix("#:schema ")
    assert (path.parent / named).resolve() == (PACKAGED / "schemas" / f"{kind}.json").resolve()
    assert not list(Draft7Validator(schema_of(kind)).iter_errors(tomllib.loads(text)))


def marked(kind: Kind, text: str) -> int:
    """The line that an editor marks: of the value, of the unknown key, or of the table without a key."""
    (error, *others) = Draft7Validator(schema_of(kind)).iter_errors(tomllib.loads(text))
    assert not others
    while error.context:  # of several types that a value may have, the one that it nearly is
        error = max(error.context, key=lambda one: len(one.absolute_path))
    path = list(error.absolute_path)
    if error.validator == "additionalProperties":
        path.append(next(key for key in error.instance if key not in error.schema["properties"]))
    return find_line(text, path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("learning_rate = 1e-5", "learning_rat = 1e-5"),
        ("learning_rate = 1e-5", "learning_rate = '1e-5'"),
        ("learning_rate = 1e-5", "learning_rate = 0"),
        ("learning_rate = 1e-5", "learning_rate = 1e-5\nlora = 8"),
        ('schedule = "cosine"', 'schedule = "cosin"'),
        ('precision = "bf16"', 'precision = "fp16"'),
        ("max_length = 16384", "max_length = 0"),
        ("epochs = 2.0", "epochs = true"),
        ("held_out = 0.001", "held_out = 1.5"),
        ("steps = 836", "steps = 836.5"),
        ("gradient_checkpointing = true", "gradient_checkpointing = 'yes'"),
        ("seed = 42", "seed = '42'"),
        ("seed = 42", "sead = 42"),
        ('name = "z1-7b"', 'name = "Z1 7B"'),
        ("problems = 500", "problems = 0"),
        ("thinking_budgets = [256,", "thinking_budgets = [-256,"),
        ('title = "', 'titel = 1\ntitle = "'),
        ("max_model_len = 8192", "max_model_len = 'all'"),
        ('prompt = "{question}', 'prompt = "question'),
    ],
    ids=lambda value: value.splitlines()[-1][:28],
)
def test_a_fault_is_marked_in_its_line_and_named_with_it(old: str, new: str, tmp_path: Path) -> None:
    text = PAPER.read_text("utf-8")
    check_fault(Kind.RECIPE, text, text.replace(old, new, 1), new, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('path = "a.jsonl"', "path = 5"),
        ('model = "m"', 'modell = "m"\nmodel = "m"'),
        ("prices = [1.0, 2.0]", "prices = [1.0]"),
        ("repetition = 0.2", "repetition = 2"),
    ],
)
def test_a_fault_in_a_plan_is_marked_in_its_line(old: str, new: str, tmp_path: Path) -> None:
    check_fault(Kind.PLAN, PLAN, PLAN.replace(old, new, 1), new, tmp_path)


def check_fault(kind: Kind, correct: str, broken: str, new: str, folder: Path) -> None:
    assert broken != correct
    changed = [line for line in new.splitlines() if line not in correct]
    line = next(number for number, one in enumerate(broken.splitlines(), 1) if changed[0] in one)
    assert marked(kind, broken) == line
    (folder / "my.toml").write_text(broken, "utf-8")
    with pytest.raises(UserError, match=rf"my\.toml:{line}\b"):
        settings.read(folder / "my.toml", settings_of(kind))


CHANGES: dict[str, Any] = {
    "name": "other",
    "base": "org/other",
    "finetune.profile": "plain",
    "finetune.schedule": "linear",
    "finetune.precision": "float32",
    "finetune.micro_tokens": 20_000,
    "evaluate.prompt": "Q: {question}\n",
    "evaluate.thinking_budgets": [0, 8],
}
"""Another value for each leaf that has rules of its own."""


def leaves(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def another(key: str, value: Any) -> Any:
    if key in CHANGES:
        return CHANGES[key]
    return not value if isinstance(value, bool) else f"{value}x" if isinstance(value, str) else value / 2 or 0.5


@pytest.mark.parametrize("key", leaves(tomllib.loads(PAPER.read_text("utf-8"))))
def test_every_leaf_of_the_papers_recipe_can_be_set(key: str) -> None:
    before = leaves(load(PAPER).model_dump())
    value = another(key, leaves(tomllib.loads(PAPER.read_text("utf-8")))[key])
    value = int(value) if isinstance(before[key], int) and not isinstance(before[key], bool) else value
    after = leaves(load(PAPER, [f"{key}={json.dumps(value)}"]).model_dump())
    changed = {name: after[name] for name in after if after[name] != before[name]}
    assert changed == {key: tuple(value) if isinstance(value, list) else value}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("finetune.learning_rat=1", "the unknown key finetune.learning_rat; did you mean learning_rate?"),
        ("finetune.learning_rate=fast", "key finetune.learning_rate: got 'fast'"),
        ("learning_rate", "--set: got learning_rate; give KEY=VALUE"),
        ("=3", "--set: got =3; give KEY=VALUE"),
        ("name.first=3", "where first is not in"),
        ("evaluate.thinking_budgets.9=3", "the number of an entry of a list"),
    ],
)
def test_a_wrong_change_is_one_line(change: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load(PAPER, [change])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_change_may_be_a_word_a_number_of_a_list_or_a_new_table() -> None:
    changes = [
        "name=mine",
        "evaluate.thinking_budgets.0=7",
        "evaluate.sampling.samples=2",
        "evaluate.sampling.temperature=1",
    ]
    found = load(PAPER, changes)
    assert (found.name, found.evaluate.thinking_budgets[0]) == ("mine", 7)
    assert found.evaluate.sampling and found.evaluate.sampling.samples == 2
