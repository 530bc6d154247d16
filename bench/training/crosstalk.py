"""Who lets rows hear each other?

The first row of a batch is changed, in place; what the model says about the second must stay as it was. Batches come
from the trainer itself, as it would train on them. A trainer that does not pass computes something else than training
on rows, however fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CLOSE = 1e-5
"""Logits that differ by no more are equal: a mask is computed with other sums than a row alone."""


@torch.no_grad()
def hears(model: Any, inputs: dict[str, Any], first: tuple[Any, ...], second: tuple[Any, ...]) -> float:
    """How far the logits at `second` move, where the ids at `first` are changed; indices into [B, T]."""
    model.eval()
    told = {key: value for key, value in inputs.items() if key != "labels"}
    before: Tensor = model(**told, use_cache=False).logits[second]
    ids = told["input_ids"].clone()
    ids[first] = (ids[first] + 1) % model.config.vocab_size
    after: Tensor = model(**{**told, "input_ids": ids}, use_cache=False).logits[second]
    model.train()
    return float((before - after).abs().max())


def of_sft(trainer: Any, way: str) -> float:
    """For a batch of TRL's trainer."""
    data = trainer.train_dataset
    if way.startswith("grouped"):
        return hears(trainer.model, trainer.data_collator([data[0], data[1]]), (0,), (1, slice(0, 4)))
    block = next(row for row in data if len(row.get("seq_lengths", [0, 0])) > 1)
    border = block["seq_lengths"][0] if "seq_lengths" in block else len(block["input_ids"]) // 2
    inputs = trainer.data_collator([block])
    return hears(trainer.model, inputs, (0, slice(0, border)), (0, slice(border, border + 4)))
