"""Rows in, a complete model folder out, also after interruptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

from tests.train import small
from z1.errors import UserError
from z1.prompts import prompt_token_ids
from z1.recipe import required_table
from z1.runs import hash_file
from z1.train.progress import Progress
from z1.train.scratch.train import MODEL, train

REPEATED = sum(2 if row.level == "direct" else 1 for row in small.rows())


def silent(_progress: Progress) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch: rows.jsonl, and its model folder."""
    folder = tmp_path_factory.mktemp("run")
    return train(small.recipe(), small.write(folder / "rows.jsonl"), folder / "train", silent)


def test_transformers_loads_the_folder_and_the_model_answers_its_own_prompt(made: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(made)
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert isinstance(model, Qwen2ForCausalLM)
    generate: Any = getattr(model, "generate")  # noqa: B009
    assert model.config.vocab_size == len(tokenizer) <= small.VOCABULARY
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id
    prompt = prompt_token_ids(tokenizer, small.PROFILE, small.rows()[0].question)
    made_ids = generate(torch.tensor([prompt]), max_new_tokens=4, do_sample=False)
    assert made_ids[0, : len(prompt)].tolist() == prompt


def test_the_manifest_describes_the_model_and_its_data(made: Path) -> None:
    found = json.loads((made / "z1.json").read_text(encoding="utf-8"))
    assert (found["name"], found["profile"]) == ("small", "z1-tiny")
    assert found["recipe"] == json.loads(small.recipe().model_dump_json(exclude_defaults=True))
    assert found["base"] is None
    assert found["core_minutes"] >= 0
    assert found["rows"]["sha256"] == hash_file(made.parent.parent / "rows.jsonl")
    assert found["rows"]["count"] == REPEATED > len(small.rows())
    assert found["rows"]["tokens"] > found["rows"]["count"]
    assert found["steps"] > 1
    assert found["torch"] == torch.__version__


def test_training_starts_from_the_weights_and_tokenizer_of_the_base(made: Path, tmp_path: Path) -> None:
    arm = small.recipe(0.5).model_copy(update={"model": None, "base": "some/base", "name": "arm"})
    slow = required_table(arm.train, "train").model_copy(update={"muon_lr": 1e-12, "adamw_lr": 1e-12})
    still = arm.model_copy(update={"train": slow})
    model = train(still, made.parent.parent / "rows.jsonl", tmp_path, silent, made)
    ours, theirs = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (model, made))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in theirs)
    assert (model / "tokenizer.json").read_bytes() == (made / "tokenizer.json").read_bytes()
    assert json.loads((model / "z1.json").read_text(encoding="utf-8"))["base"]["name"] == "small"


def test_nothing_is_pickled_in_the_model_folder(made: Path) -> None:
    assert made.name == MODEL
    assert {path.suffix for path in made.iterdir()} <= {".json", ".safetensors", ".jinja"}


def test_a_finished_training_started_again_gives_the_same_weights(made: Path) -> None:
    before = (made / "model.safetensors").read_bytes()
    again = train(small.recipe(), made.parent.parent / "rows.jsonl", made.parent, silent)
    assert again == made
    assert (again / "model.safetensors").read_bytes() == before


def test_an_interrupted_training_started_again_gives_the_same_folder(made: Path, tmp_path: Path) -> None:
    class BrokenOff(Exception):
        pass

    def break_off(_progress: Progress) -> None:
        raise BrokenOff

    rows = made.parent.parent / "rows.jsonl"
    with pytest.raises(BrokenOff):
        train(small.recipe(), rows, tmp_path, break_off)
    assert not (tmp_path / MODEL).exists()
    again = train(small.recipe(), rows, tmp_path, silent)
    assert {path.name for path in again.iterdir()} == {path.name for path in made.iterdir()}
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (made / name).read_bytes()


def test_a_model_that_cannot_be_written_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(_model: object, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Qwen2ForCausalLM, "save_pretrained", torn)
    with pytest.raises(OSError, match="no space"):
        train(small.recipe(0.1), small.write(tmp_path / "rows.jsonl"), tmp_path / "train", silent)
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == [".rows.lock", "checkpoint.pt", "rows"]


def test_a_fraction_of_an_epoch_is_that_fraction_of_its_steps(made: Path, tmp_path: Path) -> None:
    whole = json.loads((made / "z1.json").read_text(encoding="utf-8"))["steps"]
    seen: list[Progress] = []
    part = train(small.recipe(0.5), made.parent.parent / "rows.jsonl", tmp_path, seen.append)
    steps = json.loads((part / "z1.json").read_text(encoding="utf-8"))["steps"]
    assert steps == whole // 2 == seen[-1].step == seen[-1].steps


@pytest.mark.parametrize("there", [True, False], ids=["empty", "absent"])
def test_no_rows_are_the_users_error_in_one_line(there: bool, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    if there:
        rows.touch()
    with pytest.raises(UserError) as caught:
        train(small.recipe(), rows, tmp_path / "train", silent)
    assert str(caught.value) == "training rows: got none; curate some first"
    assert not (tmp_path / "train" / MODEL).exists()


def test_an_unknown_profile_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="profile: got z2; choose one of"):
        train(small.recipe(profile="z2"), small.write(tmp_path / "rows.jsonl"), tmp_path / "train", silent)
    assert not (tmp_path / "train").exists()


def test_a_row_too_long_for_the_context_is_refused_by_name(tmp_path: Path) -> None:
    recipe = small.recipe()
    assert recipe.model is not None
    short = recipe.model_copy(update={"model": recipe.model.model_copy(update={"context": 20})})
    with pytest.raises(UserError, match=r"^row \w+: got \d+ tokens; raise model.context above 20"):
        train(short, small.write(tmp_path / "rows.jsonl"), tmp_path / "train", silent)
