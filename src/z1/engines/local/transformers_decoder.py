"""How is one step of any other decoder computed over many live contexts?

With the model's own code, which makes this slower than `decoder.py`: transformers asks a cache only to `update`; this
one writes each id where it belongs and gives back the contexts of the rows. Attention masks are made here, so models
whose layers do not all see their whole past are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from z1.engines.local.decoder import FAMILIES, TILE, PrefillChunk, tiled
from z1.errors import UserError


class HFCache:
    """Keys and values of `slots` contexts of up to `length` ids, layer by layer, plus one slot that nobody reads."""

    def __init__(self, slots: int, length: int) -> None:
        self.slots, self.length = slots, length
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._where: tuple[Tensor, Tensor, int] | None = None

    def aim(self, slots: Tensor, positions: Tensor, length: int) -> None:
        """The next update writes to `slots` [B] at `positions` [B, T], and reads their first `length` places."""
        self._where = slots, positions, length

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by each layer with keys and values [B, heads, T, size]; gives those of the whole contexts back."""
        assert self._where is not None, "aim comes before update"
        slots, positions, length = self._where
        if layer_idx not in self._layers:
            shape = (self.slots + 1, keys.shape[1], self.length, keys.shape[3])
            self._layers[layer_idx] = keys.new_zeros(shape), values.new_zeros((*shape[:3], values.shape[3]))
        stored = self._layers[layer_idx]
        for store, new in zip(stored, (keys, values), strict=True):
            store[slots[:, None], :, positions] = new.transpose(1, 2)
        return stored[0][slots, :, :length], stored[1][slots, :, :length]

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Make slot `target` begin with the first `length` places of `source`."""
        for store in (part for layer in self._layers.values() for part in layer):
            store[target, :, :length] = store[source, :, :length]

    def get_seq_length(self, *_: Any) -> int:
        """Asked by models that do not get positions; ours always do."""
        return 0


class TransformersDecoder:
    """A transformers decoder over slots; see `decoder.Decoder`, whose place it takes."""

    def __init__(self, model: Any, slots: int, length: int, *, deterministic: bool) -> None:
        self.model, self.length, self.deterministic = model.eval(), length, deterministic
        self.cache = HFCache(slots, length)
        self.copy = self.cache.copy
        self.forward_passes = self.computed_tokens = 0

    @torch.inference_mode()
    def last_logits(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """Compute all `chunks`; the logits [chunks, V] after the last id of each."""
        if self.deterministic:
            return tiled(chunks, self.cache.slots, self._block)
        single = [i for i, c in enumerate(chunks) if len(c.token_ids) == 1]
        longer = [i for i, c in enumerate(chunks) if len(c.token_ids) > 1]
        found = [self._block([chunks[i] for i in single])] if single else []
        found += [self._block([chunks[i]]) for i in longer]
        return torch.cat(found)[torch.tensor(single + longer).argsort()]

    def _block(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """One call of the model over chunks of equal length [B, T]; the last logits of each."""
        device = self.model.device
        size = len(chunks[0].token_ids)
        ids = torch.tensor([list(c.token_ids) for c in chunks], device=device)
        starts = torch.tensor([c.start for c in chunks], device=device)
        positions = starts[:, None] + torch.arange(size, device=device)
        most = max(c.start for c in chunks) + size
        length = self.length if self.deterministic else min(self.length, -(-most // TILE) * TILE)
        seen = torch.arange(length, device=device) <= positions[:, None, :, None]
        self.cache.aim(torch.tensor([c.slot for c in chunks], device=device), positions, length)
        out = self.model(
            input_ids=ids,
            attention_mask=seen,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.forward_passes += 1
        self.computed_tokens += sum(c.slot < self.cache.slots for c in chunks) * size
        logits: Tensor = out.logits[:, -1]
        return logits


def refuse_partial_attention(config: Any) -> None:
    """Raise UserError for a model whose layers do not all attend to their whole past, or that keeps another kind of
    state.
    """
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"]) - {"full_attention"}
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        kinds.add("sliding_attention")
    if kinds:
        supported = f"use a decoder with full attention: {', '.join(FAMILIES)} at full speed, others slower"
        raise UserError(f"model type {config.model_type}", f"layers of {', '.join(sorted(kinds))}", supported)
