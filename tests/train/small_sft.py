"""The smallest fine-tuning: the small model as a base, and its rows, some of them held out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.train import small
from z1.recipe import FinetuneSettings, Recipe
from z1.train.encode import EncodedRows
from z1.train.packing import pack
from z1.train.sft.loss import TrainingBatch
from z1.train.sft.trainer import TrainingSet

LENGTHS = (5, 9, 3, 14)

SHAPE: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
"""Sizes of a model of another family."""


@cache
def random_rows(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> EncodedRows:
    """Rows of random tokens below 64; the first third of each is its prompt."""
    rng = np.random.Generator(np.random.PCG64(seed))
    token_ids = rng.integers(3, SHAPE["vocab_size"], sum(lengths)).astype(np.int32)
    loss_mask = np.concatenate([np.arange(length) > length // 3 for length in lengths])
    return EncodedRows(token_ids, loss_mask, np.cumsum([0, *lengths], dtype=np.int64))


def packed_batch(rows: EncodedRows, numbers: list[int]) -> TrainingBatch:
    """The rows `numbers` as one pack."""
    packed = pack(rows, np.array(numbers))
    ids, learned, positions = (
        torch.from_numpy(each)[None] for each in (packed.token_ids, packed.loss_mask, packed.positions)
    )
    return TrainingBatch(ids, learned, positions, torch.from_numpy(packed.cu_seqlens), packed.max_seqlen)


def settings(**changes: object) -> FinetuneSettings:
    """Twelve steps of eight rows, in packs of at most 256 tokens."""
    values: dict[str, object] = {"profile": "z1-tiny", "max_length": 256, "micro_tokens": 256, "batch_samples": 8}
    values |= {"epochs": 4.0, "learning_rate": 3e-3, "warmup_steps": 2, "precision": "float32", "held_out_steps": 5}
    return FinetuneSettings.model_validate(values | changes)


def recipe(**changes: object) -> Recipe:
    """A recipe with these settings as its `[finetune]`."""
    changed = {"train": None, "model": None, "base": "base", "finetune": settings(**changes)}
    return small.recipe().model_copy(update=changed)


def save_base(folder: Path) -> str:
    """Save the small model and its tokenizer to a folder."""
    small.model().save_pretrained(folder)
    small.tokenizer().save_pretrained(folder)
    return str(folder)


def training_set(base: str) -> TrainingSet:
    """All small rows except the last four, which are held out."""
    rows = small.encoded()
    return TrainingSet(
        _part(rows, 0, len(rows) - 4), _part(rows, len(rows) - 4, len(rows)), base, {"rows": len(rows) - 4}
    )


def _part(rows: EncodedRows, first: int, last: int) -> EncodedRows:
    starts = rows.starts[first : last + 1]
    return EncodedRows(
        rows.token_ids[starts[0] : starts[-1]], rows.loss_mask[starts[0] : starts[-1]], starts - starts[0]
    )
