"""Training stage of a model from scratch: rows in, a model folder out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2ForCausalLM
from transformers.utils import logging

from z1 import profiles
from z1.errors import UserError
from z1.model_files import find_model, load_tokenizer
from z1.recipe import Recipe, required_table
from z1.records import TrainingRow
from z1.runs import atomic_folder, disk_full_as_os_error, hash_file, provenance, read_json, read_lines, write_json
from z1.train.encode import Encoder, Truncation, encode
from z1.train.progress import Progress
from z1.train.scratch import model as models
from z1.train.scratch import tokenizer as tokenizers
from z1.train.scratch.trainer import Trainer
from z1.train.token_cache import load_or_encode

MODEL = "model"
ROWS = "rows"

TOKENIZER_ROWS = 8_000
"""Rows that the tokenizer is built from; more rows give the same tokens."""

CHAT_TEXT = "user\nassistant\n<think>\n</think>\n"
"""Text of chat templates, which no row contains."""


def train(
    recipe: Recipe,
    rows: Path,
    folder: Path,
    report: Callable[[Progress], None],
    base: Path | None = None,
    report_estimate: Callable[[float, float], None] = lambda _remaining, _total: None,
) -> Path:
    """Train the recipe's model on the rows in a file, from the model folder `base` or from scratch.

    Returns the model folder, `folder`/model. Before the first step `report_estimate` gets the expected CPU seconds of
    the remaining steps and of all steps. Use one folder per recipe: encoded rows and a checkpoint in it are reused. If
    it is killed and started again, training ends with the same weights. Raises UserError if there are no rows.
    """
    logging.disable_progress_bar()
    training_rows = read_lines(rows, TrainingRow.from_json)
    settings = required_table(recipe.train, "train")
    model, tokenizer = _initial(recipe, training_rows, base)
    encoder = Encoder(tokenizer, profiles.get_profile(settings.profile), settings.hint_share, recipe.seed)
    repeated = [row for row in training_rows for _ in range(settings.repeats.get(row.level, 1))]
    limit = Truncation(model.config.max_position_embeddings)
    data = load_or_encode(folder / ROWS, lambda: encode(repeated, encoder, limit)).rows
    trainer = Trainer(model, data, settings, recipe.seed)
    report_estimate(*trainer.estimate_seconds(folder))
    trainer.run(folder, report)
    with atomic_folder(folder / MODEL) as temporary:
        with disk_full_as_os_error(folder / MODEL):
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        write_json(temporary / "z1.json", _manifest(recipe, rows, trainer, base))
    return folder / MODEL


def _initial(recipe: Recipe, training_rows: Sequence[TrainingRow], base: Path | None) -> tuple[Qwen2ForCausalLM, Any]:
    """The model and tokenizer before training."""
    if base is not None:
        model = AutoModelForCausalLM.from_pretrained(find_model(str(base)), dtype=torch.float32, use_safetensors=True)
        return model, load_tokenizer(str(base))
    if recipe.model is None:
        raise UserError(f"recipe {recipe.name}", "neither base nor [model]", "add one of them")
    hint = profiles.get_profile(recipe.profile or "").hint
    sample = training_rows[:: 1 + len(training_rows) // TOKENIZER_ROWS]
    texts = (row.question + "\n" + row.thought + row.answer + hint + CHAT_TEXT for row in sample)
    tokenizer = tokenizers.build(texts, recipe.model.vocabulary)
    special = (tokenizer.pad_token_id or 0, tokenizer.eos_token_id or 0)
    lines = tokenizers.line_numbers(tokenizer)
    return models.build(recipe.model, len(tokenizer), recipe.seed, special, lines), tokenizer


def _manifest(recipe: Recipe, rows: Path, trainer: Trainer, base: Path | None) -> dict[str, object]:
    """The `z1.json` of a model folder; engines read `profile`, and `core_minutes` counts the steps only."""
    data = trainer.schedule.rows
    return {
        "name": recipe.name,
        "profile": recipe.profile,
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "rows": {"sha256": hash_file(rows), "count": len(data), "tokens": len(data.token_ids)},
        "steps": trainer.steps,
        "core_minutes": round(trainer.core_seconds / 60, 2),
        "base": read_json(base / "z1.json") if base is not None and (base / "z1.json").is_file() else None,
        "torch": torch.__version__,
        **provenance(),
    }
