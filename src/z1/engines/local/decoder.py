"""The forward pass of Qwen2, Qwen3 and Llama over the KV cache: one batched step of decode and prefill.

A step computes *chunks*: some tokens of one sequence, one where it is decoding, many where a prompt, a hint or an
evicted sequence is prefilled. All rows of a step go through each matrix product in one call; attention is computed for
all decoding sequences together and then for each longer chunk. Weights are loaded by `model_files.py`, tokens chosen by
`sampler.py`, slots allocated by `kv_cache.py`.

What makes it fast on a CPU (each measured, see LOG.md): keys are stored as [D, length] and values as [length, D], so
both products of attention are contiguous in memory; weights are stored as [in, out], so the residual is added in the
product; the two halves of a rotary pair are adjacent, so a rotation is one complex product, which also scales the
queries.

Deterministic mode (float32 on a CPU): matrix products give other bits for other numbers of rows, so each token is a row
of its own, rows are computed in tiles of one size, and each row attends over the full length of the cache. Another kind
of processor gives other bits.

Shapes: R rows, C hidden size, D head size, V vocabulary, S slots times key/value heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from z1.engines.local.kv_store import ROW_PADDING, TILE, KVStore, LayerCache, round_up
from z1.engines.local.products import can_pack, is_packed, multiply, multiply_small, pack, transpose

FAMILIES = ("qwen2", "qwen3", "llama")
"""Model types of this forward pass; `transformers_decoder.py` computes others, slower."""

ROTARY = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings whose angles are a function of the position alone."""


MAX_SCORES = 1 << 22
"""Values of attention scores that a prefill has in memory at once, unless those of one key/value head are more."""

MAX_UNUSED = 1.5
"""Length of the cache's rows, over what is used of them, up to which a decoding step in bfloat16 on a CPU attends over
whole rows: oneDNN takes dense matrices only, so torch copies parts of rows before each product. A step of 64 sequences
takes 0.84 to 0.87 of the time at 1.1, and 1.05 at 2.1 (SmolLM2-135M on an Intel Xeon, see LOG.md).
"""


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Tokens to compute at position `start` and after, in one slot."""

    slot: int
    start: int
    token_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer, [in, out]: query, key and value joined, gate and up joined."""

    norm: Tensor
    attention: Tensor
    bias: Tensor | None
    head_norm: Tensor | None
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that attend together: `rows` of the step, their part of the KV cache, and its mask.

    They fill a block of `count` slots with `size` rows each; `padded_rows` gives the place of each row in it, if the
    block has gaps. `cached` is a range of S (a view) or an index (a copy). `mask` [count, 1, 1, size, length].
    """

    rows: slice
    cached: slice | Tensor
    count: int
    size: int
    mask: Tensor
    padded_rows: Tensor | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """Shared by all layers of a step: rotations [R, heads, D/2], cache indices of new keys and values, attention
    groups.
    """

    rotation: Tensor
    key_index: Tensor
    value_index: Tensor
    groups: tuple[_Group, ...]


def supports(config: Any) -> bool:
    """Whether this forward pass supports a model of this configuration."""
    rotary = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    # Qwen2 always has attention biases, without a setting
    biased = getattr(config, "mlp_bias", False) or getattr(config, "attention_bias", False)
    return config.model_type in FAMILIES and config.hidden_act == "silu" and not biased and rotary in ROTARY


class Decoder:
    """A model's weights and the KV cache of up to `slots` sequences of up to `length` tokens.

    `forward_passes` counts calls (a tile each, in deterministic mode), `computed_tokens` counts rows, one a token.
    """

    def __init__(self, model: Any, slots: int, length: int, *, deterministic: bool) -> None:
        config = model.config
        self.slots, self.length, self.deterministic = slots, length, deterministic
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.forward_passes = self.computed_tokens = 0
        with torch.no_grad():
            self._load_weights(model)
            shape = (config.num_hidden_layers, self.groups, self.size)
            self.store = KVStore(self._embedding, shape, slots, length)
            if self.device.type != "cpu":
                self.store.reserve(slots, length)

    def _reserve(self, chunks: Sequence[PrefillChunk]) -> None:
        """Have room for `chunks`. In deterministic mode every sequence has the full length, on which the bits depend;
        otherwise the cache follows the longest sequence, for locality.
        """
        length = self.length if self.deterministic else max(c.start + len(c.token_ids) for c in chunks)
        self.store.reserve(max(c.slot for c in chunks) + 1, length)

    def _load_weights(self, model: Any) -> None:
        inner, self.device = model.model, model.device
        self._embedding = inner.embed_tokens.weight.detach()
        store = transpose if self.deterministic else pack
        # a head in float32 is faster with one row if it is not packed, and then it is the embedding too
        store_head = transpose if self._embedding.dtype == torch.float32 else store
        self._head = store_head(model.lm_head.weight.detach())
        self._batch_head: Tensor | None = None
        self._packs_batch_head = store is pack and not self._head.is_mkldnn and is_packed(self._head)
        if model.config.tie_word_embeddings and not self._head.is_mkldnn:
            self._embedding = self._head.t()  # one matrix in memory; to look a token up takes microseconds longer
        self._layers = [self._layer(layer, store) for layer in inner.layers]
        self._eps = float(model.config.rms_norm_eps)
        self._norm = self._norm_weight(inner.norm)
        positions = torch.arange(self.length, device=self.device)
        cos, sin = inner.rotary_emb(self._embedding.new_zeros(1, dtype=torch.float32), positions[None])
        half = self.size // 2
        self._angles = torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float())
        self._scales = torch.ones(self.heads + self.groups, 1, device=self.device)
        self._scales[: self.heads] = self.size**-0.5
        self._positions = torch.arange(self.length + ROW_PADDING, device=self.device)
        is_half = self._embedding.dtype == torch.bfloat16
        self._copies_ranges = self.device.type == "cpu" and is_half and can_pack(torch.bfloat16)
        widths = (len(self._norm), self.size)
        self._min_norms = {width: torch.tensor((width * self._eps) ** 0.5, device=self.device) for width in widths}

    def _layer(self, layer: Any, store: Callable[[Tensor], Tensor]) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        parts = [attention.q_proj, attention.k_proj, attention.v_proj]
        joined = torch.cat(
            [_interleaved(parts[0].weight, self.size), _interleaved(parts[1].weight, self.size), parts[2].weight]
        )
        bias = None
        if parts[0].bias is not None:
            bias = torch.cat(
                [_interleaved(parts[0].bias, self.size), _interleaved(parts[1].bias, self.size), parts[2].bias]
            )
        head_norm = None
        if hasattr(attention, "q_norm"):
            queries, keys = (
                _interleaved(self._norm_weight(norm), self.size) for norm in (attention.q_norm, attention.k_norm)
            )
            head_norm = torch.stack([queries] * self.heads + [keys] * self.groups)
        return _Layer(
            self._norm_weight(layer.input_layernorm),
            store(joined),
            bias,
            head_norm,
            store(attention.o_proj.weight),
            self._norm_weight(layer.post_attention_layernorm),
            store(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])),
            store(mlp.down_proj.weight),
        )

    def _norm_weight(self, norm: Any) -> Tensor:
        weight: Tensor = norm.weight.detach()
        return weight * len(weight) ** 0.5 if weight.dtype == torch.float32 else weight

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` to slot `target`."""
        self.store.copy(source, target, length)

    @torch.inference_mode()
    def last_logits(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """Compute all `chunks`; the logits [chunks, V] after the last token of each."""
        self._reserve(chunks)
        self.computed_tokens += sum(len(c.token_ids) for c in chunks)
        return compute_in_tiles(chunks, self._forward_tile) if self.deterministic else self._forward_batch(chunks)

    def _forward_batch(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """The last row of every chunk is first, so that all rows that need logits attend together; then the earlier
        rows, chunks of similar size together.
        """
        order = sorted(range(len(chunks)), key=lambda i: chunks[i].slot)
        ordered = [chunks[i] for i in order]
        lasts = [PrefillChunk(c.slot, c.start + len(c.token_ids) - 1, c.token_ids[-1:]) for c in ordered]
        earlier = [PrefillChunk(c.slot, c.start, c.token_ids[:-1]) for c in ordered if len(c.token_ids) > 1]
        earlier.sort(key=_size_bucket)
        token_ids, slots, positions = self._row_tensors([*lasts, *earlier])
        first = len(lasts)
        groups = [self._make_group(lasts, slice(0, first), positions)]
        for _, found in groupby(earlier, _size_bucket):
            members = list(found)
            last = first + sum(len(c.token_ids) for c in members)
            groups.append(self._make_group(members, slice(first, last), positions))
            first = last
        hidden = self._compute(token_ids, self._make_step(slots, positions, tuple(groups)))
        if order != list(range(len(chunks))):
            hidden = hidden[torch.tensor(order, device=self.device).argsort()]
        return self._logits(hidden)

    def _forward_tile(self, rows: Sequence[PrefillChunk]) -> Tensor:
        token_ids, slots, positions = self._row_tensors(rows)
        mask = self._attention_mask(positions, self.length)[:, None, None, None]
        group = _Group(slice(0, TILE), self._cache_index(slots), TILE, 1, mask)
        return self._logits(self._compute(token_ids, self._make_step(slots, positions, (group,))))

    def _row_tensors(self, chunks: Sequence[PrefillChunk]) -> tuple[Tensor, Tensor, Tensor]:
        """Token token_ids, slots and positions [R] of all rows."""
        token_ids = [token for c in chunks for token in c.token_ids]
        slots = [c.slot for c in chunks for _ in c.token_ids]
        positions = [c.start + i for c in chunks for i in range(len(c.token_ids))]
        table = torch.tensor([token_ids, slots, positions]).to(self.device, non_blocking=True)
        return table[0], table[1], table[2]

    def _make_group(self, chunks: Sequence[PrefillChunk], rows: slice, positions: Tensor) -> _Group:
        """A group of chunks of similar size, in ascending order of their slots: over a range of the cache, or over
        copies if most of that range would be gaps.
        """
        bottom, top = chunks[0].slot, chunks[-1].slot + 1
        size = max(len(c.token_ids) for c in chunks)
        dense = len(chunks) * 2 >= top - bottom
        at = [c.slot - bottom for c in chunks] if dense else list(range(len(chunks)))
        count = top - bottom if dense else len(chunks)
        if dense:
            cached: slice | Tensor = slice(bottom * self.groups, top * self.groups)
        else:
            cached = self._cache_index(torch.tensor([c.slot for c in chunks], device=self.device))
        length = round_up(max(c.start + len(c.token_ids) for c in chunks), self.length)
        if dense and size == 1 and self._copies_ranges and self.store.capacity <= MAX_UNUSED * length:
            length = self.store.capacity
        block_positions = positions[rows]
        padded_rows = None
        if rows.stop - rows.start < count * size:
            padded = [slot * size + i for slot, c in zip(at, chunks, strict=True) for i in range(len(c.token_ids))]
            padded_rows = torch.tensor(padded, device=self.device)
            block_positions = block_positions.new_zeros(count * size).index_copy_(0, padded_rows, block_positions)
        mask = self._attention_mask(block_positions, length).view(count, 1, 1, size, length)
        return _Group(rows, cached, count, size, mask, padded_rows)

    def _cache_index(self, slots: Tensor) -> Tensor:
        index: Tensor = slots[:, None] * self.groups + torch.arange(self.groups, device=self.device)
        return index.flatten()

    def _attention_mask(self, positions: Tensor, length: int) -> Tensor:
        """0 where a row attends and -inf elsewhere, [R, length]."""
        ahead = self._positions[:length] > positions[:, None]
        return torch.zeros_like(ahead, dtype=self._embedding.dtype).masked_fill_(ahead, -torch.inf)

    def _make_step(self, slots: Tensor, positions: Tensor, groups: tuple[_Group, ...]) -> _Step:
        rotation = self._angles[positions][:, None] * self._scales
        return _Step(rotation, *self.store.indices(slots, positions), groups)

    def _compute(self, token_ids: Tensor, step: _Step) -> Tensor:
        """Hidden states after the last norm of the first group's rows; those of the others are not needed."""
        self.forward_passes += 1
        x = self._embedding[token_ids].contiguous()
        for layer, cache in zip(self._layers, self.store.layers, strict=True):
            groups = step.groups[:1] if layer is self._layers[-1] else step.groups
            attended = self._attention(layer, cache, self._normed(x, layer.norm), step, groups)
            x = multiply(attended, layer.out, x[: len(attended)])
            both = multiply(self._normed(x, layer.mlp_norm), layer.gate_up)
            width = both.shape[1] // 2
            x = multiply(functional.silu(both[:, :width]).mul_(both[:, width:]), layer.down, x)
        return self._normed(x, self._norm)

    def _attention(
        self, layer: _Layer, cache: LayerCache, x: Tensor, step: _Step, groups: tuple[_Group, ...]
    ) -> Tensor:
        """Write keys and values of all rows [R, C]; the attention outputs of the rows of `groups`, group by group."""
        joined = multiply(x, layer.attention, layer.bias)
        joined = joined.view(len(x), -1, self.size)
        rotated_heads = self.heads + self.groups
        rotated = joined[:, :rotated_heads]
        if layer.head_norm is not None:
            rotated = self._normed(rotated, layer.head_norm)
        pairs = torch.view_as_complex(rotated.float().unflatten(2, (-1, 2)))
        rotated = torch.view_as_real(pairs * step.rotation).to(x.dtype)
        cache.flat_keys.index_copy_(0, step.key_index, rotated[:, self.heads :].reshape(-1))
        cache.flat_values.index_copy_(0, step.value_index, joined[:, rotated_heads:].reshape(-1, self.size))
        found = [self._attend(rotated[group.rows, : self.heads], cache, group) for group in groups]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _attend(self, queries: Tensor, cache: LayerCache, group: _Group) -> Tensor:
        """The attention output of the rows of `group` [R, heads, D/2, 2], [R, heads * D]."""
        count, size, length = group.count, group.size, group.mask.shape[-1]
        if group.padded_rows is not None:
            queries = queries.new_zeros((count * size, *queries.shape[1:])).index_copy_(0, group.padded_rows, queries)
        if size > 1:
            queries = queries.unflatten(0, (count, size)).transpose(1, 2)
        grouped = queries.reshape(count * self.groups, -1, self.size)
        keys, values = cache.keys[group.cached, :, :length], cache.values[group.cached, :length]
        if size > 1 and grouped[..., 0].numel() * length > MAX_SCORES:
            masks = [mask for mask in group.mask.split(1) for _ in range(self.groups)]
            rows = zip(grouped.split(1), keys.split(1), values.split(1), masks, strict=True)
            found = torch.cat([attend(*row) for row in rows])
        else:
            product = torch.bmm if self.deterministic else multiply_small
            found = attend(grouped, keys, values, group.mask, product)
        if size > 1:
            found = found.view(count, self.heads, size, self.size).transpose(1, 2)
        found = found.reshape(count * size, self.heads * self.size)
        return found if group.padded_rows is None else found[group.padded_rows]

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMS norm over the last dimension (Zhang and Sennrich, arXiv 1910.07467)."""
        if x.dtype == torch.float32:
            size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            # the weight includes the root of the width
            return x / torch.hypot(size, self._min_norms[x.shape[-1]]) * weight
        x32 = x.float()
        return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + self._eps)).to(x.dtype) * weight

    def _logits(self, hidden: Tensor) -> Tensor:
        """Logits [R, V]. For several rows a packed copy of the head is made when it is first needed."""
        if len(hidden) == 1 or not self._packs_batch_head:
            return multiply(hidden, self._head)
        if self._batch_head is None:
            self._batch_head = pack(self._head.t())
        return multiply(hidden, self._batch_head)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor,
    product: Callable[[Tensor, Tensor], Tensor] = torch.bmm,
) -> Tensor:
    """Attention of `queries` [S, rows, D]; `mask` [C, 1, 1, size, length] has a part for each S / C of them."""
    scores = product(queries, keys)
    scores.view(len(mask), len(scores) // len(mask), -1, *mask.shape[-2:]).add_(mask)
    weights = scores.softmax(-1, dtype=torch.float32).to(queries.dtype)
    return product(weights, values)


def compute_in_tiles(chunks: Sequence[PrefillChunk], compute: Callable[[Sequence[PrefillChunk]], Tensor]) -> Tensor:
    """The logits after the last token of each chunk, with each token in a row of its own.

    `compute` gives the logits of TILE rows; the last tile is padded with copies of its last row, which write the same
    bits to the same place. It uses one thread: several split a tile at arbitrary rows, and rows at a split get other
    bits.
    """
    rows = [PrefillChunk(c.slot, c.start + i, [token]) for c in chunks for i, token in enumerate(c.token_ids)]
    ends = torch.tensor([len(c.token_ids) for c in chunks]).cumsum(0) - 1
    rows += [rows[-1]] * (-len(rows) % TILE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return torch.cat([compute(rows[at : at + TILE]) for at in range(0, len(rows), TILE)])[ends]
    finally:
        torch.set_num_threads(threads)


def _size_bucket(chunk: PrefillChunk) -> int:
    """Chunks of up to 1, 2, 4, 8, ... tokens attend together."""
    return (len(chunk.token_ids) - 1).bit_length()


def _interleaved(weight: Tensor, size: int) -> Tensor:
    """Rows of heads of `size`, with the two halves of each rotary pair adjacent."""
    heads: Tensor = weight.unflatten(0, (-1, 2, size // 2))
    return heads.transpose(1, 2).flatten(0, 2)
