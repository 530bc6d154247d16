"""What does a pack teach?

The sum of the cross-entropy over its learned ids. Logits are made for those positions alone, in pieces of at most
`LOGITS`: at 152 thousand ids of vocabulary the logits of one pack of 16,384 would else be the largest tensor of a
training. Whoever sums over packs and processes divides by the learned ids of the whole batch, so how rows are packed
changes nothing.

A model of the hub is put to the test before it learns (`check`): no row may hear its neighbour, and what is computed
here must be what the model computes by itself.
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
"""Most logits at once: a gibibyte in float32."""

SHARE = 0.02
"""Share by which a loss in half precision may differ from the model's own."""


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
        """Where rows begin, as transformers wants to be told."""
        if self.cu_seqlens is None:
            return {}
        cu = {"cu_seq_lens_q": self.cu_seqlens, "cu_seq_lens_k": self.cu_seqlens}
        return {"position_ids": self.positions, **cu, "max_length_q": self.max_seqlen, "max_length_k": self.max_seqlen}


class LossModel(nn.Module):
    """A causal language model of transformers that answers a lesson with its loss.

    It is a module so that FSDP can gather the embedding and the head around the whole of `forward`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)

    def forward(self, lesson: TrainingBatch) -> Tensor:
        """Sum of the cross-entropy over the learned ids, a scalar in float32."""
        hidden = self.model.base_model(
            lesson.token_ids, use_cache=False, **lesson.attention_kwargs()
        ).last_hidden_state[:, :-1]
        wanted = lesson.loss_mask[:, 1:]
        hidden, targets = hidden[wanted], lesson.token_ids[:, 1:][wanted]
        most = max(1, LOGITS // self.model.config.get_text_config().vocab_size)
        if len(targets) <= most:
            return self._piece(hidden, targets)
        pieces = zip(hidden.split(most), targets.split(most), strict=True)
        losses = [checkpoint(self._piece, *piece, use_reentrant=False) for piece in pieces]
        return torch.stack(losses).sum()

    def _piece(self, hidden: Tensor, targets: Tensor) -> Tensor:
        logits = self.model.get_output_embeddings()(hidden).float()
        if self._cap:
            logits = self._cap * (logits / self._cap).tanh()
        return F.cross_entropy(logits, targets, reduction="sum")


@torch.no_grad()
def check(learner: LossModel, name: str, *, packing: bool) -> None:
    """Refuses a model whose rows hear each other in a pack, or whose loss is not what its own `forward` gives."""
    model, most = learner.model, min(learner.model.config.get_text_config().vocab_size, 1000)
    training = model.training
    model.eval()
    first, other, second = (torch.arange(a, a + 40 * size, 40) % most for a, size in ((1, 5), (3, 5), (2, 7)))
    if packing and not torch.equal(_hidden(model, first, second), _hidden(model, other, second)):
        raise UserError(f"model {name}", "rows that hear each other in a pack", "set finetune.packing = false")
    ids = second[None].to(model.device)
    own = F.cross_entropy(model(ids).logits[0, :-1].float(), ids[0, 1:], reduction="sum")
    ours = learner(TrainingBatch(ids, torch.ones_like(ids, dtype=torch.bool)))
    if (ours - own).abs() > SHARE * own:
        raise UserError(f"model {name}", "logits that are more than its output matrix", "choose another base")
    model.train(training)


def _hidden(model: Any, first: Tensor, second: Tensor) -> Tensor:
    """Hidden states [ids of second, C] of the second of two rows in a pack."""
    ids = torch.cat([first, second])[None].to(model.device)
    positions = torch.cat([torch.arange(len(first)), torch.arange(len(second))])[None].to(ids)
    bounds = torch.tensor([0, len(first), ids.size(1)], dtype=torch.int32, device=ids.device)
    lesson = TrainingBatch(ids, torch.ones_like(ids, dtype=torch.bool), positions, bounds, max(len(first), len(second)))
    states: Tensor = model.base_model(ids, use_cache=False, **lesson.attention_kwargs()).last_hidden_state
    return states[0, len(first) :]
