"""How does a model learn to think without a fence?

    tokenizer.py   which tokenizer does a model from scratch get?
    model.py       which weights does it begin with?
    rows.py        what does it see of a row, and what of it does it learn?
    muon.py        how are its matrices updated?
    loop.py        how does it learn, and go on after a kill?

Meets the other verbs on disk: rows of `curate` in, a model folder out that transformers, vLLM and z1's engines load.
Source: arXiv 2504.00810, section 2.2: no delimiters, loss on the response alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOSPC
from os import strerror
from pathlib import Path

import torch
from transformers.utils import logging

from z1 import chat
from z1.recipe import Recipe
from z1.records import Row
from z1.runs import hash_file, provenance, read_lines, whole_folder, write_json
from z1.train import model as models
from z1.train import tokenizer as tokenizers
from z1.train.loop import Progress, Trainer
from z1.train.rows import Encoder, Rows, encode, once

MODEL = "model"
ROWS = "rows.npz"

TOKENIZER_ROWS = 8_000
"""Rows that the tokenizer is made from; more give the same merges."""

__all__ = ["MODEL", "Progress", "train"]


def train(recipe: Recipe, rows: Path, folder: Path, report: Callable[[Progress], None]) -> Path:
    """Train the recipe's model on the rows in a file; returns the model folder, `folder`/model.

    One folder, one recipe: encoded rows and checkpoint in it are taken up as they are. May be killed at any time:
    started again it ends with the same weights. Raises UserError on an empty corpus.
    """
    logging.disable_progress_bar()
    corpus = read_lines(rows, Row.from_json)
    profile = chat.profile(recipe.train.profile)
    texts = (row.question + "\n" + row.thought + row.answer + profile.hint for row in corpus[:TOKENIZER_ROWS])
    tokenizer = tokenizers.build(texts, recipe.model.vocabulary)
    encoder = Encoder(tokenizer, profile, recipe.train.hint_share, recipe.seed)
    shown = [row for row in corpus for _ in range(recipe.train.repeats.get(row.level, 1))]
    data = once(folder / ROWS, lambda: encode(shown, encoder, recipe.model.context))
    ends = (tokenizer.pad_token_id or 0, tokenizer.eos_token_id or 0)
    model = models.build(recipe.model, len(tokenizer), recipe.seed, ends)
    trainer = Trainer(model, data, recipe.train, recipe.seed)
    trainer.run(folder, report)
    with whole_folder(folder / MODEL) as temporary:
        with full_disk_is_an_os_error(folder / MODEL):
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        write_json(temporary / "z1.json", _manifest(recipe, rows, data, trainer.steps))
    return folder / MODEL


@contextmanager
def full_disk_is_an_os_error(path: Path) -> Iterator[None]:
    """safetensors and tokenizers write in Rust and name the system's error in their text alone."""
    try:
        yield
    except Exception as error:
        if f"os error {ENOSPC}" not in str(error):
            raise
        raise OSError(ENOSPC, strerror(ENOSPC), str(path)) from error


def _manifest(recipe: Recipe, rows: Path, data: Rows, steps: int) -> dict[str, object]:
    """What a model folder says about itself; `profile` is read by the engines."""
    return {
        "name": recipe.name,
        "profile": recipe.train.profile,
        "recipe": recipe.model_dump(mode="json"),
        "rows": {"sha256": hash_file(rows), "count": len(data), "ids": len(data.ids)},
        "steps": steps,
        "torch": torch.__version__,
        **provenance(),
    }
