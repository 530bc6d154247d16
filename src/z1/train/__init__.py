"""How does a model learn to think without a fence?

    tokenizer.py   which tokenizer does a model from scratch get?
    model.py       which weights does it begin with?
    rows.py        what does it see of a row, and what of it does it learn?
    store.py       where do encoded rows lie?
    data.py        which rows of a dataset?
    batches.py     which rows does each step see, and which process computes them?
    muon.py        how are its matrices updated?
    loop.py        how does it learn, and go on after a kill?

Meets the other verbs on disk: rows of `curate` in, a model folder out that transformers, vLLM and z1's engines load.
Source: arXiv 2504.00810, section 2.2: no delimiters, loss on the response alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen2ForCausalLM
from transformers.utils import logging

from z1 import profiles
from z1.errors import UserError
from z1.recipe import Recipe, required_table
from z1.records import TrainingRow
from z1.runs import atomic_folder, disk_full_as_os_error, hash_file, provenance, read_json, read_lines, write_json
from z1.train.encode import Encoder, Truncation
from z1.train.encode import encode as encode_rows
from z1.train.scratch import model as models
from z1.train.scratch import tokenizer as tokenizers
from z1.train.scratch.trainer import Progress, Trainer
from z1.train.token_cache import once

MODEL = "model"
ROWS = "rows"

TOKENIZER_ROWS = 8_000
"""Rows that the tokenizer is made from; more give the same tokens."""

FRAME = "user\nassistant\n<think>\n</think>\n"
"""What stands around rows and is in none of them."""

__all__ = ["MODEL", "Progress", "train"]


def train(
    recipe: Recipe,
    rows: Path,
    folder: Path,
    report: Callable[[Progress], None],
    base: Path | None = None,
    plan: Callable[[float, float], None] = lambda _left, _whole: None,
) -> Path:
    """Train the recipe's model on the rows in a file, from the model folder `base` or from scratch; returns the model
    folder, `folder`/model.

    Before the first step `plan` is told how many processor seconds training is expected to take, from here and as a
    whole.
    One folder, one recipe: encoded rows and checkpoint in it are taken up as they are. May be killed at any time:
    started again it ends with the same weights. Raises UserError on an empty corpus.
    """
    logging.disable_progress_bar()
    corpus = read_lines(rows, TrainingRow.from_json)
    settings = required_table(recipe.train, "train")
    model, tokenizer = _start(recipe, corpus, base)
    encoder = Encoder(tokenizer, profiles.get_profile(settings.profile), settings.hint_share, recipe.seed)
    shown = [row for row in corpus for _ in range(settings.repeats.get(row.level, 1))]
    limit = Truncation(model.config.max_position_embeddings)
    data = once(folder / ROWS, lambda: encode_rows(shown, encoder, limit)).rows
    trainer = Trainer(model, data, settings, recipe.seed)
    plan(*trainer.estimate_seconds(folder))
    trainer.run(folder, report)
    with atomic_folder(folder / MODEL) as temporary:
        with disk_full_as_os_error(folder / MODEL):
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        write_json(temporary / "z1.json", _manifest(recipe, rows, trainer, base))
    return folder / MODEL


def _start(recipe: Recipe, corpus: Sequence[TrainingRow], base: Path | None) -> tuple[Qwen2ForCausalLM, Any]:
    """The model and tokenizer that training begins with."""
    if base is not None:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, use_safetensors=True)
        ours = (base / "z1.json").is_file()  # AutoTokenizer gives the same ids, and would write another file
        return model, (PreTrainedTokenizerFast if ours else AutoTokenizer).from_pretrained(base)
    if recipe.model is None:
        raise UserError(f"recipe {recipe.name}", "neither base nor [model]", "add one of them")
    hint = profiles.get_profile(recipe.profile or "").hint
    sample = corpus[:: 1 + len(corpus) // TOKENIZER_ROWS]
    texts = (row.question + "\n" + row.thought + row.answer + hint + FRAME for row in sample)
    tokenizer = tokenizers.build(texts, recipe.model.vocabulary)
    ends = (tokenizer.pad_token_id or 0, tokenizer.eos_token_id or 0)
    lines = tokenizers.line_numbers(tokenizer)
    return models.build(recipe.model, len(tokenizer), recipe.seed, ends, lines), tokenizer


def _manifest(recipe: Recipe, rows: Path, trainer: Trainer, base: Path | None) -> dict[str, object]:
    """What a model folder says about itself; `profile` is read by the engines, `core_minutes` are the steps' alone."""
    data = trainer.schedule.rows
    return {
        "name": recipe.name,
        "profile": recipe.profile,
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "rows": {"sha256": hash_file(rows), "count": len(data), "ids": len(data.token_ids)},
        "steps": trainer.steps,
        "core_minutes": round(trainer.core_seconds / 60, 2),
        "base": read_json(base / "z1.json") if base is not None and (base / "z1.json").is_file() else None,
        "torch": torch.__version__,
        **provenance(),
    }
