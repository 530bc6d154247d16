"""The smallest training inputs: rows of synthetic programs, their tokenizer, and a model of a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from z1 import profiles
from z1.recipe import ModelSettings, Recipe, TrainSettings
from z1.records import TrainingRow
from z1.synthetic import DatasetRequest, collect
from z1.train.encode import EncodedRow, EncodedRows, Encoder, Truncation, encode
from z1.train.scratch import model as models
from z1.train.scratch import tokenizer as tokenizers

PROFILE = profiles.get_profile("z1-tiny")
SEED = 7
VOCABULARY = 320


@cache
def rows() -> tuple[TrainingRow, ...]:
    """A few dozen rows of all three levels."""
    found = []
    for item in collect(DatasetRequest(32, "train", 1, 4, SEED)):
        problem = item.problem
        level = ("direct", "direct", "compact", "full")[(problem.steps or 1) - 1]
        found.append(TrainingRow(problem.id, problem.question, item.thoughts[level], item.answer, level, problem.steps))
    return tuple(found)


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of these rows."""
    return tokenizers.build((row.question + "\n" + row.thought + row.answer for row in rows()), VOCABULARY)


@cache
def encoded(hint_share: float = 0.3) -> EncodedRows:
    """The encoded rows."""
    return gather(encode(rows(), Encoder(tokenizer(), PROFILE, hint_share, SEED), Truncation(256)))


def gather(encoded: Iterable[EncodedRow]) -> EncodedRows:
    """Rows end to end, in memory."""
    rows = list(encoded)
    return EncodedRows(
        np.concatenate([row.token_ids for row in rows]),
        np.concatenate([row.loss_mask for row in rows]),
        np.cumsum([0, *(len(row.token_ids) for row in rows)]),
    )


def model_settings(layers: int = 1) -> ModelSettings:
    return ModelSettings(
        vocabulary=VOCABULARY, hidden=32, layers=layers, heads=2, key_value_heads=1, feed_forward=64, context=256
    )


def model(seed: int = SEED, layers: int = 1) -> Qwen2ForCausalLM:
    """A model with the tokenizer's vocabulary."""
    return models.build(model_settings(layers), len(tokenizer()), seed, (0, 2))


def train_settings(epochs: float = 2.0, **changes: object) -> TrainSettings:
    rates = {"muon_lr": 0.02, "adamw_lr": 0.01, "warmup_steps": 3, "decay_share": 0.5}
    return TrainSettings.model_validate({"epochs": epochs, "batch_tokens": 400, **rates}).model_copy(update=changes)


def recipe(epochs: float = 1.0, **changes: object) -> Recipe:
    """A recipe for these rows; `changes` are of its `[train]`."""
    return Recipe.model_validate(
        {
            "name": "small",
            "seed": SEED,
            "curate": {"problems": 32, "direct_up_to": 2, "compact_up_to": 3},
            "model": model_settings().model_dump(),
            "train": train_settings(epochs, hint_share=0.3, repeats={"direct": 2}, **changes).model_dump(),
            "evaluate": {"problems": 1, "thinking_budgets": (0,), "max_answer_tokens": 8},
            "report": {"title": "small"},
        }
    )


def write(path: Path) -> Path:
    """Write the rows as `curate` does."""
    path.write_text("".join(json.dumps(row.as_json()) + "\n" for row in rows()), encoding="utf-8")
    return path
