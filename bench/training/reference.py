"""How does the reference teach the rows?

Made again after https://github.com/efficientscaling/Z1, train/train.py and train/preprocess.py: rows in drawn order,
micro-batches of a fixed number of rows, each padded to its longest, labels of -100 on prompts and padding, the
model's own loss over all positions, transformers' AdamW, gradients accumulated to the same global batch. Tokenizing
(twice, on every rank) is left out, in its favour; the cut at 512 ids too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from z1.train.encode import EncodedRows
from z1.train.packing import padded

IGNORED = -100


class Reference:
    """A model, its optimizer, and one epoch of rows in micro-batches of `micro` rows."""

    def __init__(self, model: Any, rows: EncodedRows, batch: int, micro: int) -> None:
        self._model, self._rows, self._batch, self._micro = model.train(), rows, batch, micro
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)

    def epoch(self) -> int:
        """Teach every row once; the ids that were learned."""
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(self._rows))
        for first in range(0, len(order), self._batch):
            batch = order[first : first + self._batch]
            for at in range(0, len(batch), self._micro):
                ids, mask, labels = self._collated(batch[at : at + self._micro])
                loss = self._model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
                (loss / (self._batch // self._micro)).backward()
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
        return int(self._rows.learned_counts.sum())

    def _collated(self, numbers: Any) -> tuple[Tensor, Tensor, Tensor]:
        ids, learned = (torch.from_numpy(each) for each in padded(self._rows, numbers))
        sizes = torch.from_numpy(self._rows.lengths[numbers])
        return ids, torch.arange(ids.size(1))[None] < sizes[:, None], ids.where(learned, IGNORED)
