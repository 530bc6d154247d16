"""The forward pass of decoders that `decoder.py` does not support, by transformers' own code and a slotted KV cache.

It is slower than `decoder.py`. transformers calls only `update` of a cache: `HFCache` writes each token to its slot and
returns the contexts of the rows. Attention masks are made here, so models whose layers do not attend to their whole
context are rejected by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from z1.engines.local.decoder import FAMILIES, TILE, PrefillChunk, compute_in_tiles
from z1.errors import UserError


class HFCache:
    """The KV cache of `slots` sequences of up to `length` tokens, and one more slot for padding rows."""

    def __init__(self, slots: int, length: int) -> None:
        self.slots, self.length = slots, length
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._target: tuple[Tensor, Tensor, int] | None = None

    def set_target(self, slots: Tensor, positions: Tensor, length: int) -> None:
        """The next updates write to `slots` [B] at `positions` [B, T], and return their first `length` positions."""
        self._target = slots, positions, length

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by each layer with keys and values [B, heads, T, size]; returns those of the whole contexts."""
        assert self._target is not None, "call set_target before update"
        slots, positions, length = self._target
        if layer_idx not in self._layers:
            shape = (self.slots + 1, keys.shape[1], self.length, keys.shape[3])
            self._layers[layer_idx] = keys.new_zeros(shape), values.new_zeros((*shape[:3], values.shape[3]))
        cached = self._layers[layer_idx]
        for tensor, new in zip(cached, (keys, values), strict=True):
            tensor[slots[:, None], :, positions] = new.transpose(1, 2)
        return cached[0][slots, :, :length], cached[1][slots, :, :length]

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` to slot `target`."""
        for tensor in (part for layer in self._layers.values() for part in layer):
            tensor[target, :, :length] = tensor[source, :, :length]

    def get_seq_length(self, *_: Any) -> int:
        """Called by models that get no positions; ours always do."""
        return 0


class TransformersDecoder:
    """A transformers decoder over slots, with the interface of `decoder.Decoder`."""

    def __init__(self, model: Any, slots: int, length: int, *, deterministic: bool) -> None:
        self.model, self.length, self.deterministic = model.eval(), length, deterministic
        self.cache = HFCache(slots, length)
        self.copy = self.cache.copy
        self.forward_passes = self.computed_tokens = 0

    @torch.inference_mode()
    def last_logits(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """Compute all `chunks`; the logits [chunks, V] after the last token of each."""
        if self.deterministic:
            return compute_in_tiles(chunks, self.cache.slots, self._forward)
        single = [i for i, c in enumerate(chunks) if len(c.token_ids) == 1]
        longer = [i for i, c in enumerate(chunks) if len(c.token_ids) > 1]
        found = [self._forward([chunks[i] for i in single])] if single else []
        found += [self._forward([chunks[i]]) for i in longer]
        return torch.cat(found)[torch.tensor(single + longer).argsort()]

    def _forward(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """One forward pass over chunks of equal length [B, T]; the last logits of each."""
        device = self.model.device
        size = len(chunks[0].token_ids)
        token_ids = torch.tensor([list(c.token_ids) for c in chunks], device=device)
        starts = torch.tensor([c.start for c in chunks], device=device)
        positions = starts[:, None] + torch.arange(size, device=device)
        longest = max(c.start for c in chunks) + size
        length = self.length if self.deterministic else min(self.length, -(-longest // TILE) * TILE)
        mask = torch.arange(length, device=device) <= positions[:, None, :, None]
        self.cache.set_target(torch.tensor([c.slot for c in chunks], device=device), positions, length)
        out = self.model(
            input_ids=token_ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.forward_passes += 1
        self.computed_tokens += sum(c.slot < self.cache.slots for c in chunks) * size
        logits: Tensor = out.logits[:, -1]
        return logits


def reject_partial_attention(config: Any) -> None:
    """Raise UserError for a model whose layers do not all attend to their whole context, or that has another state."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"]) - {"full_attention"}
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        kinds.add("sliding_attention")
    if kinds:
        supported = f"use a decoder with full attention: {', '.join(FAMILIES)} at full speed, others slower"
        raise UserError(f"model type {config.model_type}", f"layers of {', '.join(sorted(kinds))}", supported)
