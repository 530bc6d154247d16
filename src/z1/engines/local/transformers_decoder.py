"""The forward pass of decoders that `decoder.py` does not support, by transformers' own code and a slotted KV cache.

It is slower than `decoder.py`. transformers calls only `update` of a cache: `HFCache` writes each token to its slot and
returns the contexts of the rows. Attention masks are made here, by transformers' mask functions, one for each kind of
layer: full, sliding window, chunked. Layers of other kinds have a state that is not in this cache, and their models are
rejected by name. A sliding window saves no memory here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from z1.engines.local.decoder import PrefillChunk, compute_in_tiles
from z1.engines.local.kv_store import round_up
from z1.errors import UserError

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
"""Kinds of layers that attend to the keys and values of the cache, in transformers' names."""


class HFCache:
    """The KV cache of up to `slots` sequences of up to `length` tokens; each layer grows when it is used."""

    def __init__(self, slots: int, length: int) -> None:
        self.slots, self.length = slots, length
        self._held = (0, 0)
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._target: tuple[Tensor, Tensor, int] | None = None

    def reserve(self, slots: int, length: int) -> None:
        """Have room for `slots` sequences of `length` tokens, with some to spare."""
        held_slots, held_length = self._held
        if slots > held_slots:
            held_slots = min(self.slots, max(slots, held_slots + held_slots // 2))
        if length > held_length:
            held_length = round_up(max(length, held_length + held_length // 4), self.length)
        self._held = held_slots, held_length

    def set_target(self, slots: Tensor, positions: Tensor, length: int) -> None:
        """The next updates write to `slots` [B] at `positions` [B, T], and return their first `length` positions."""
        self._target = slots, positions, length

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by each layer with keys and values [B, heads, T, size]; returns those of the whole contexts."""
        assert self._target is not None, "call set_target before update"
        slots, positions, length = self._target
        old = self.layers.get(layer_idx)
        if old is None or old[0].shape[::2] != self._held:
            self.layers[layer_idx] = self._grown(keys, old and old[0]), self._grown(values, old and old[1])
        cached = self.layers[layer_idx]
        for tensor, new in zip(cached, (keys, values), strict=True):
            tensor[slots[:, None], :, positions] = new.transpose(1, 2)
        return cached[0][slots, :, :length], cached[1][slots, :, :length]

    def _grown(self, new: Tensor, old: Tensor | None) -> Tensor:
        slots, length = self._held
        grown = new.new_zeros(slots, new.shape[1], length, new.shape[3])
        if old is not None:
            grown[: old.shape[0], :, : old.shape[2]] = old
        return grown

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` to slot `target`."""
        self.reserve(max(source, target) + 1, length)
        for number, layer in self.layers.items():
            if layer[0].shape[::2] != self._held:
                self.layers[number] = self._grown(layer[0], layer[0]), self._grown(layer[1], layer[1])
            for tensor in self.layers[number]:
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
        self._masks = mask_functions(model.config.get_text_config())
        self._takes_bool = model.config._attn_implementation == "sdpa"
        parameters = signature(model.forward).parameters  # renamed in transformers 5.24
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"

    @torch.inference_mode()
    def last_logits(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """Compute all `chunks`; the logits [chunks, V] after the last token of each."""
        longest = max(c.start + len(c.token_ids) for c in chunks)
        self.cache.reserve(max(c.slot for c in chunks) + 1, self.length if self.deterministic else longest)
        self.computed_tokens += sum(len(c.token_ids) for c in chunks)
        if self.deterministic:
            return compute_in_tiles(chunks, self._forward)
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
        length = self.length if self.deterministic else round_up(longest, self.length)
        self.cache.set_target(torch.tensor([c.slot for c in chunks], device=device), positions, length)
        out = self.model(
            input_ids=token_ids,
            attention_mask=self._attention_mask(positions, length),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: self.cache},
        )
        self.forward_passes += 1
        logits: Tensor = out.logits[:, -1]
        return logits

    def _attention_mask(self, positions: Tensor, length: int) -> Tensor | dict[str, Tensor]:
        """The mask [B, 1, T, length] of each kind of layer; of one kind, transformers takes it without a name."""
        zero = positions.new_zeros(1)
        keys = torch.arange(length, device=positions.device)
        masks = {kind: mask(zero, zero, positions[:, None, :, None], keys) for kind, mask in self._masks.items()}
        if not self._takes_bool:
            dtype = self.model.dtype
            masks = {
                kind: torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(
                    ~mask, torch.finfo(dtype).min
                )
                for kind, mask in masks.items()
            }
        return masks if len(masks) > 1 else next(iter(masks.values()))


def layer_kinds(config: Any) -> frozenset[str]:
    """The kinds of attention in the layers of a model."""
    if kinds := getattr(config, "layer_types", None):
        return frozenset(kinds)
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return frozenset({SLIDING})
    return frozenset({CHUNKED if getattr(config, "attention_chunk_size", None) else FULL})


def mask_functions(config: Any) -> Mapping[str, Callable[..., Tensor]]:
    """transformers' mask function of each kind of layer: (batch, head, query, key) -> whether it attends."""
    from transformers import masking_utils

    kinds = layer_kinds(config)
    found: dict[str, Callable[..., Tensor]] = {}
    if FULL in kinds:
        found[FULL] = masking_utils.causal_mask_function
    if SLIDING in kinds:
        found[SLIDING] = masking_utils.sliding_window_causal_mask_function(config.sliding_window)
    if CHUNKED in kinds:
        no_padding = torch.zeros(1, dtype=torch.long)
        found[CHUNKED] = masking_utils.chunked_causal_mask_function(config.attention_chunk_size, no_padding)
    return found


def reject_other_layers(config: Any) -> None:
    """Raise UserError for a model with layers whose state is not keys and values of each token."""
    if kinds := layer_kinds(config) - {FULL, SLIDING, CHUNKED}:
        do = "run it with vLLM: --engine vllm, or --engine remote with the URL of a server"
        raise UserError(f"model type {config.model_type}", f"layers of {', '.join(sorted(kinds))}", do)
