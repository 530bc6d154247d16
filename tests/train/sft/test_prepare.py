"""Rows are encoded once; settings that do not change their tokens reuse the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train import small
from z1.recipe import Recipe
from z1.train.sft import prepare as preparing
from z1.train.sft.dataset import is_held_out
from z1.train.sft.prepare import PreparedTraining, prepare


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration and tokenizer of a model, without its weights."""
    folder = tmp_path_factory.mktemp("base")
    small.model().config.save_pretrained(folder)
    small.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def made(base: Path, tmp_path: Path) -> Any:
    """Prepares the small rows with changed settings."""
    curated = small.write(tmp_path / "rows.jsonl")

    def make(**changes: Any) -> PreparedTraining:
        finetune = {"profile": "z1-tiny", "max_length": 256, "micro_tokens": 512, "batch_samples": 4, "epochs": 1.0}
        recipe = small.recipe().model_dump() | {"model": None, "train": None, "base": str(base)}
        recipe["finetune"] = {**finetune, "learning_rate": 1e-3, **changes}
        return prepare(Recipe.model_validate(recipe), tmp_path / "run", curated, str(base), 2)

    return make


def stages(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run").iterdir())


def test_the_rows_are_those_of_the_encoder_and_are_described(made: Any) -> None:
    found = made(hint_share=0.3)
    assert found.preflight.rows.token_ids.tolist() == small.encoded(0.3).token_ids.tolist()
    assert found.preflight.rows.loss_mask.tolist() == small.encoded(0.3).loss_mask.tolist()
    assert found.data_info["rows"] == len(small.rows())
    assert found.data_info["learned"] == small.encoded(0.3).loss_mask.sum()
    assert found.data_info["noted"] == {}
    assert (found.preflight.world_size, found.preflight.end_token_id) == (2, small.tokenizer().eos_token_id)
    found.preflight.check()


def test_another_learning_rate_or_batch_reuses_the_rows_and_another_limit_does_not(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made()
    before = stages(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "encode", lambda *_: pytest.fail("encoded again"))
        made(
            learning_rate=0.1,
            batch_samples=8,
            epochs=3.0,
            micro_tokens=300,
            packing=False,
            max_dropped=1.0,
            lora_rank=2,
        )
    assert stages(tmp_path) == before
    changes: list[dict[str, Any]] = [{"max_length": 250}, {"truncation": "truncate"}, {"hint_share": 0.5}]
    for count, change in enumerate([*changes, {"profile": "z1"}, {"held_out": 0.2}], 2):
        made(**change)
        assert len([name for name in stages(tmp_path) if name.startswith("encode-")]) == count


def test_a_question_is_trained_on_or_held_out_and_none_is_lost(made: Any) -> None:
    found = made(held_out=0.3)
    held = [row for row in small.rows() if is_held_out(row, 0.3, small.SEED)]
    assert 0 < len(held) == len(found.preflight.held_out) == found.data_info["held_out"] < len(small.rows())
    assert len(found.preflight.rows) == len(small.rows()) - len(held)


def test_rows_that_are_too_long_are_dropped_and_counted(made: Any) -> None:
    sizes = small.encoded(0.0).lengths
    longest = int(sizes.max()) - 1
    found = made(max_length=longest, max_dropped=1.0)
    assert found.data_info["noted"] == {"too long": int((sizes > longest).sum())}
    assert found.preflight.rows.lengths.tolist() == sizes[sizes <= longest].tolist()
