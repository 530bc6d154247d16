"""The loss of a batch: the sum of the cross-entropy over its learned tokens.

Logits are computed for learned positions only, at most `LOGITS` at a time: with a vocabulary of 152 thousand tokens the
logits of a pack of 16,384 would otherwise be the largest tensor in training. The caller divides the sum over packs and
processes by the learned tokens of the whole batch, so packing does not change the loss.

`check_model` tests a model before training: no row may attend to its neighbour, and the loss computed here must equal
that of the model's own forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from z1.errors import UserError

LOGITS = 2**28
"""Maximum logits at a time: one GiB in float32."""

TOLERANCE = 0.02
"""Relative difference allowed between a loss in half precision and the model's own."""


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A pack: `token_ids`, `loss_mask` and `positions` [1, N], `cu_seqlens` [rows + 1], `max_seqlen`; or padded rows:
    only `token_ids` and `loss_mask` [B, T].
    """

    token_ids: Tensor
    loss_mask: Tensor
    positions: Tensor | None = None
    cu_seqlens: Tensor | None = None
    max_seqlen: int = 0

    def attention_kwargs(self) -> dict[str, Any]:
        """The bounds of the rows, as arguments of a transformers model; empty for padded rows."""
        if self.cu_seqlens is None:
            return {}
        bounds = {"cu_seq_lens_q": self.cu_seqlens, "cu_seq_lens_k": self.cu_seqlens}
        lengths = {"max_length_q": self.max_seqlen, "max_length_k": self.max_seqlen}
        return {"position_ids": self.positions, **bounds, **lengths}


class LossModel(nn.Module):
    """A causal language model of transformers whose forward pass returns the loss of a batch.

    It is a module, so that FSDP gathers the embedding and the head around the whole of `forward`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)

    @property
    def at_once(self) -> int:
        """Learned tokens whose logits are computed together; of more, they are computed again in the backward pass."""
        return max(1, LOGITS // int(self.model.config.get_text_config().vocab_size))

    def forward(self, batch: TrainingBatch) -> Tensor:
        """Sum of the cross-entropy over the learned tokens, a scalar in float32."""
        kwargs = batch.attention_kwargs()
        hidden = self.model.base_model(batch.token_ids, use_cache=False, **kwargs).last_hidden_state[:, :-1]
        mask = batch.loss_mask[:, 1:]
        hidden, targets = hidden[mask], batch.token_ids[:, 1:][mask]
        if len(targets) <= self.at_once:
            return self._loss(hidden, targets)
        pieces = zip(hidden.split(self.at_once), targets.split(self.at_once), strict=True)
        losses = [checkpoint(self._loss, *piece, use_reentrant=False) for piece in pieces]
        return torch.stack(losses).sum()

    def _loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        logits = self.model.get_output_embeddings()(hidden).float()
        if self._cap:
            logits = self._cap * (logits / self._cap).tanh()
        return F.cross_entropy(logits, targets, reduction="sum")


@torch.no_grad()
def check_model(loss_model: LossModel, name: str, *, packing: bool) -> None:
    """Raise UserError if rows of a pack attend to each other, or if the loss differs from the model's own."""
    model, size = loss_model.model, min(loss_model.model.config.get_text_config().vocab_size, 1000)
    training = model.training
    model.eval()
    first, other, second = (torch.arange(a, a + 40 * count, 40) % size for a, count in ((1, 5), (3, 5), (2, 7)))
    if packing and not torch.equal(_hidden(model, first, second), _hidden(model, other, second)):
        raise UserError(f"model {name}", "attention across packed rows", "set finetune.packing = false")
    token_ids = second[None].to(model.device)
    expected = F.cross_entropy(model(token_ids).logits[0, :-1].float(), token_ids[0, 1:], reduction="sum")
    loss = loss_model(TrainingBatch(token_ids, torch.ones_like(token_ids, dtype=torch.bool)))
    if (loss - expected).abs() > TOLERANCE * expected:
        raise UserError(
            f"model {name}", "logits that are not the product with its output matrix", "choose another base"
        )
    model.train(training)


def _hidden(model: Any, first: Tensor, second: Tensor) -> Tensor:
    """Hidden states [tokens of second, C] of the second of two rows in a pack."""
    token_ids = torch.cat([first, second])[None].to(model.device)
    positions = torch.cat([torch.arange(len(first)), torch.arange(len(second))])[None].to(token_ids)
    cu_seqlens = torch.tensor([0, len(first), token_ids.size(1)], dtype=torch.int32, device=token_ids.device)
    mask, longest = torch.ones_like(token_ids, dtype=torch.bool), max(len(first), len(second))
    batch = TrainingBatch(token_ids, mask, positions, cu_seqlens, longest)
    states: Tensor = model.base_model(token_ids, use_cache=False, **batch.attention_kwargs()).last_hidden_state
    return states[0, len(first) :]
