"""A test for attention across rows of a batch.

The first row of a batch is changed in place; the logits of the second row must not change. Batches are the trainer's
own. A trainer that fails does not train on separate rows, however fast it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CLOSE = 1e-5
"""Logits that differ by no more count as equal: a masked batch sums in another order than a row alone."""


@torch.no_grad()
def leakage(model: Any, inputs: dict[str, Any], first: tuple[Any, ...], second: tuple[Any, ...]) -> float:
    """Largest change of the logits at `second` when the tokens at `first` change; indices into [B, T]."""
    model.eval()
    arguments = {key: value for key, value in inputs.items() if key != "labels"}
    before: Tensor = model(**arguments, use_cache=False).logits[second]
    token_ids = arguments["input_ids"].clone()
    token_ids[first] = (token_ids[first] + 1) % model.config.vocab_size
    after: Tensor = model(**{**arguments, "input_ids": token_ids}, use_cache=False).logits[second]
    model.train()
    return float((before - after).abs().max())


def sft_leakage(trainer: Any, setting: str) -> float:
    """The leakage in a batch of TRL's trainer."""
    data = trainer.train_dataset
    if setting.startswith("grouped"):
        return leakage(trainer.model, trainer.data_collator([data[0], data[1]]), (0,), (1, slice(0, 4)))
    block = next(row for row in data if len(row.get("seq_lengths", [0, 0])) > 1)
    border = block["seq_lengths"][0] if "seq_lengths" in block else len(block["input_ids"]) // 2
    inputs = trainer.data_collator([block])
    return leakage(trainer.model, inputs, (0, slice(0, border)), (0, slice(border, border + 4)))
