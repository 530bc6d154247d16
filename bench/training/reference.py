"""The reference script's training loop, reimplemented.

Source: https://github.com/efficientscaling/Z1, train/train.py and train/preprocess.py. Rows in random order,
micro-batches of a fixed number of rows, each pad to its longest, labels of -100 on prompts and padding, the
model's own loss over all positions, transformers' AdamW, gradients accumulated to the same global batch. Tokenization
(twice, on every rank) is left out, which favours the reference; so is the truncation at 512 tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from z1.train.encode import EncodedRows
from z1.train.packing import pad

IGNORED = -100


class Reference:
    """A model, its optimizer, and one epoch of rows in micro-batches of `micro` rows."""

    def __init__(self, model: Any, rows: EncodedRows, batch: int, micro: int) -> None:
        self._model, self._rows, self._batch, self._micro = model.train(), rows, batch, micro
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)

    def epoch(self) -> int:
        """Train on every row once; returns the number of learned tokens."""
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(self._rows))
        for first in range(0, len(order), self._batch):
            batch = order[first : first + self._batch]
            for at in range(0, len(batch), self._micro):
                token_ids, mask, labels = self._collate(batch[at : at + self._micro])
                loss = self._model(input_ids=token_ids, attention_mask=mask, labels=labels, use_cache=False).loss
                (loss / (self._batch // self._micro)).backward()
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
        return int(self._rows.learned_counts.sum())

    def _collate(self, numbers: Any) -> tuple[Tensor, Tensor, Tensor]:
        token_ids, loss_mask = (torch.from_numpy(each) for each in pad(self._rows, numbers))
        lengths = torch.from_numpy(self._rows.lengths[numbers])
        return token_ids, torch.arange(token_ids.size(1))[None] < lengths[:, None], token_ids.where(loss_mask, IGNORED)
