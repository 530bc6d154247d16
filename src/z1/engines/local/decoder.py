"""How is one step of a Qwen2, Qwen3 or Llama computed over many live contexts?

A step takes *chunks*: each is some ids of one context, one id where that context is decoding and many where a prompt, a
hint or an evicted context comes in. All rows of a step go through every matrix product together, in one call;
attention is taken for all decoding contexts at once and then for each longer chunk. It does not load weights, choose
ids or know of sessions.

What makes it fast on a CPU (each measured, see LOG.md): keys lie as [D, length] and values as [length, D], so that both
products of attention run along memory; weights lie as [in, out], so that the residual joins in the product; the two
halves of a rotary pair lie side by side, so that a rotation is one complex product, which also scales the queries.

Deterministic mode (float32 on a CPU): matrix products give other bits for other numbers of rows, so every id is a row
of its own, rows come in tiles of one size, and every row sees one tile of the store's whole length. Another kind of
processor gives other bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

FAMILIES = ("qwen2", "qwen3", "llama")
"""Model types that are computed here; `general.py` computes others, slower."""

ROTARY = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary positions whose angles are a function of the position alone."""

TILE = 32
"""Rows of a deterministic step; key lengths are rounded up to this in others."""

LINE = 16
"""Numbers by which rows in memory are longer than they need: at a power of two all would share a few sets of the cache.
"""


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Ids to compute at `start` and after, in one slot."""

    slot: int
    start: int
    token_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer, [in, out]: attention's three inputs joined, gate and up joined."""

    norm: Tensor
    attention: Tensor
    bias: Tensor | None
    head_norm: Tensor | None
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


class _Store:
    """One layer's keys [S, D, length] and values [S, length, D], S = slots * key/value heads, and both flat."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values
        self.flat_keys, self.flat_values = keys.view(-1), values.view(-1, values.shape[-1])


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that attend together: `rows` of the step, what they see of the store, and what of that is hidden.

    They fill a block of `count` slots with `size` rows each; `spread` says where each row stands in it, where the block
    has holes. `seen` is a range of S (a view) or an index (a copy). `hidden` [count, 1, 1, size, length].
    """

    rows: slice
    seen: slice | Tensor
    count: int
    size: int
    hidden: Tensor
    spread: Tensor | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """What all layers of a step share: rotations [R, heads, D/2], where keys and values go, and who attends to what."""

    rotation: Tensor
    key_places: Tensor
    value_places: Tensor
    groups: tuple[_Group, ...]


def supports(config: Any) -> bool:
    """Whether a model of this configuration can be computed here."""
    rotary = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    biased = getattr(config, "mlp_bias", False) or getattr(config, "attention_bias", False)  # Qwen2's own is no setting
    return config.model_type in FAMILIES and config.hidden_act == "silu" and not biased and rotary in ROTARY


class Decoder:
    """A model's weights and the keys and values of `slots` contexts of up to `length` ids.

    `forward_passes` and `computed_tokens` count what was computed: one call a step (a tile, in deterministic mode), one
    row an id.
    """

    def __init__(self, model: Any, slots: int, length: int, *, deterministic: bool) -> None:
        config = model.config
        self.slots, self.length, self.deterministic = slots, length, deterministic
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.forward_passes = self.computed_tokens = 0
        with torch.no_grad():
            self._take(model)
            self._shape = (config.num_hidden_layers, (slots + 1) * self.groups)
            self._keys = self._embedding.new_zeros((*self._shape, self.size, 0))
            self._values = self._embedding.new_zeros((*self._shape, 0, self.size))
            self._reserve(length if deterministic or self.device.type != "cpu" else TILE)

    @property
    def held(self) -> int:
        """Ids that every slot has room for at present."""
        return max(0, int(self._values.shape[2]) - LINE)

    def _reserve(self, length: int) -> None:
        """Make room for contexts of `length` ids.

        On a CPU the store grows with the longest context, so that what is read lies close together.
        """
        held = self.held
        if self._rounded(length) <= held:
            return
        room = self._rounded(max(length, held + held // 4)) + LINE
        keys = self._keys.new_zeros((*self._shape, self.size, room))
        values = self._values.new_zeros((*self._shape, room, self.size))
        keys[..., :held], values[:, :, :held] = self._keys[..., :held], self._values[:, :, :held]
        self._keys, self._values = keys, values
        self._store = [_Store(k, v) for k, v in zip(keys, values, strict=True)]
        self._value_offsets = torch.arange(self.groups, device=self.device) * room
        self._key_offsets = torch.arange(self.groups * self.size, device=self.device) * room

    def _take(self, model: Any) -> None:
        inner, self.device = model.model, model.device
        self._embedding = inner.embed_tokens.weight.detach()
        self._layers = [self._layer(layer) for layer in inner.layers]
        self._eps = float(model.config.rms_norm_eps)
        self._norm = self._norm_weight(inner.norm)
        self._head = _laid(model.lm_head.weight.detach())
        places = torch.arange(self.length, device=self.device)
        cos, sin = inner.rotary_emb(self._embedding.new_zeros(1, dtype=torch.float32), places[None])
        half = self.size // 2
        self._angles = torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float())
        self._scales = torch.ones(self.heads + self.groups, 1, device=self.device)
        self._scales[: self.heads] = self.size**-0.5
        self._places = places
        widths = (len(self._norm), self.size)
        self._least = {width: torch.tensor((width * self._eps) ** 0.5, device=self.device) for width in widths}

    def _layer(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        parts = [attention.q_proj, attention.k_proj, attention.v_proj]
        joined = torch.cat([_paired(parts[0].weight, self.size), _paired(parts[1].weight, self.size), parts[2].weight])
        bias = None
        if parts[0].bias is not None:
            bias = torch.cat([_paired(parts[0].bias, self.size), _paired(parts[1].bias, self.size), parts[2].bias])
        head_norm = None
        if hasattr(attention, "q_norm"):
            queries, keys = (
                _paired(self._norm_weight(norm), self.size) for norm in (attention.q_norm, attention.k_norm)
            )
            head_norm = torch.stack([queries] * self.heads + [keys] * self.groups)
        return _Layer(
            self._norm_weight(layer.input_layernorm),
            _laid(joined),
            bias,
            head_norm,
            _laid(attention.o_proj.weight),
            self._norm_weight(layer.post_attention_layernorm),
            _laid(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])),
            _laid(mlp.down_proj.weight),
        )

    def _norm_weight(self, norm: Any) -> Tensor:
        weight: Tensor = norm.weight.detach()
        return weight * len(weight) ** 0.5 if weight.dtype == torch.float32 else weight

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Make slot `target` begin with the first `length` places of `source`."""
        to, of = (slice(slot * self.groups, (slot + 1) * self.groups) for slot in (target, source))
        self._keys[:, to, :, :length] = self._keys[:, of, :, :length]
        self._values[:, to, :length] = self._values[:, of, :length]

    @torch.inference_mode()
    def last_logits(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """Compute all `chunks`; the logits [chunks, V] after the last id of each."""
        if not self.deterministic:
            return self._whole(chunks)
        return tiled(chunks, self.slots, self._tile)

    def _whole(self, chunks: Sequence[PrefillChunk]) -> Tensor:
        """The last row of every chunk comes first, so that all that want a logit attend together; then the rows before
        them, chunks of about one size together.
        """
        self._reserve(max(c.start + len(c.token_ids) for c in chunks))
        order = sorted(range(len(chunks)), key=lambda i: chunks[i].slot)
        ordered = [chunks[i] for i in order]
        lasts = [PrefillChunk(c.slot, c.start + len(c.token_ids) - 1, c.token_ids[-1:]) for c in ordered]
        earlier = [PrefillChunk(c.slot, c.start, c.token_ids[:-1]) for c in ordered if len(c.token_ids) > 1]
        earlier.sort(key=_bracket)
        ids, slots, positions = self._rows([*lasts, *earlier])
        first = len(lasts)
        groups = [self._group(lasts, slice(0, first), positions)]
        for _, found in groupby(earlier, _bracket):
            members = list(found)
            last = first + sum(len(c.token_ids) for c in members)
            groups.append(self._group(members, slice(first, last), positions))
            first = last
        hidden = self._compute(ids, self._step(slots, positions, tuple(groups)))
        if order != list(range(len(chunks))):
            hidden = hidden[torch.tensor(order, device=self.device).argsort()]
        return self._logits(hidden)

    def _tile(self, rows: Sequence[PrefillChunk]) -> Tensor:
        ids, slots, positions = self._rows(rows)
        hidden = self._hidden(positions, self.length)[:, None, None, None]
        group = _Group(slice(0, TILE), self._index(slots), TILE, 1, hidden)
        found = self._compute(ids, self._step(slots, positions, (group,)))
        self.computed_tokens -= sum(row.slot == self.slots for row in rows)
        return self._logits(found)

    def _rows(self, chunks: Sequence[PrefillChunk]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, slots and positions [R] of all rows."""
        ids = [token for c in chunks for token in c.token_ids]
        slots = [c.slot for c in chunks for _ in c.token_ids]
        positions = [c.start + i for c in chunks for i in range(len(c.token_ids))]
        table = torch.tensor([ids, slots, positions]).to(self.device, non_blocking=True)
        return table[0], table[1], table[2]

    def _group(self, chunks: Sequence[PrefillChunk], rows: slice, positions: Tensor) -> _Group:
        """Chunks of about the same size, in ascending order of their slots, over a range of the store, or over copies
        where most of that range would be holes.
        """
        bottom, top = chunks[0].slot, chunks[-1].slot + 1
        size = max(len(c.token_ids) for c in chunks)
        dense = len(chunks) * 2 >= top - bottom
        at = [c.slot - bottom for c in chunks] if dense else list(range(len(chunks)))
        count = top - bottom if dense else len(chunks)
        if dense:
            seen: slice | Tensor = slice(bottom * self.groups, top * self.groups)
        else:
            seen = self._index(torch.tensor([c.slot for c in chunks], device=self.device))
        length = self._rounded(max(c.start + len(c.token_ids) for c in chunks))
        where = positions[rows]
        spread = None
        if rows.stop - rows.start < count * size:
            places = [slot * size + i for slot, c in zip(at, chunks, strict=True) for i in range(len(c.token_ids))]
            spread = torch.tensor(places, device=self.device)
            where = where.new_zeros(count * size).index_copy_(0, spread, where)
        hidden = self._hidden(where, length).view(count, 1, 1, size, length)
        return _Group(rows, seen, count, size, hidden, spread)

    def _index(self, slots: Tensor) -> Tensor:
        index: Tensor = slots[:, None] * self.groups + torch.arange(self.groups, device=self.device)
        return index.flatten()

    def _rounded(self, length: int) -> int:
        return min(self.length, -(-length // TILE) * TILE)

    def _hidden(self, positions: Tensor, length: int) -> Tensor:
        """0 where a row may look and -inf where not, [R, length]."""
        ahead = self._places[:length] > positions[:, None]
        return torch.zeros_like(ahead, dtype=self._embedding.dtype).masked_fill_(ahead, -torch.inf)

    def _step(self, slots: Tensor, positions: Tensor, groups: tuple[_Group, ...]) -> _Step:
        rotation = self._angles[positions][:, None] * self._scales
        room = self._values.shape[2]
        key_places = (slots * (self.groups * self.size * room) + positions)[:, None] + self._key_offsets
        value_places = (slots * (self.groups * room) + positions)[:, None] + self._value_offsets
        return _Step(rotation, key_places.flatten(), value_places.flatten(), groups)

    def _compute(self, ids: Tensor, step: _Step) -> Tensor:
        """Hidden states after the last norm of the first group's rows; nobody needs those of the others."""
        self.forward_passes += 1
        self.computed_tokens += len(ids)
        x = self._embedding[ids]
        for layer, store in zip(self._layers, self._store, strict=True):
            groups = step.groups[:1] if layer is self._layers[-1] else step.groups
            attended = self._attention(layer, store, self._normed(x, layer.norm), step, groups)
            x = torch.addmm(x[: len(attended)], attended, layer.out)
            both = torch.mm(self._normed(x, layer.mlp_norm), layer.gate_up)
            width = both.shape[1] // 2
            x = torch.addmm(x, functional.silu(both[:, :width]).mul_(both[:, width:]), layer.down)
        return self._normed(x, self._norm)

    def _attention(self, layer: _Layer, store: _Store, x: Tensor, step: _Step, groups: tuple[_Group, ...]) -> Tensor:
        """Write keys and values of all rows [R, C]; what the rows of `groups` see, one group after another."""
        joined = torch.mm(x, layer.attention) if layer.bias is None else torch.addmm(layer.bias, x, layer.attention)
        joined = joined.view(len(x), -1, self.size)
        turning = self.heads + self.groups
        turned = joined[:, :turning]
        if layer.head_norm is not None:
            turned = self._normed(turned, layer.head_norm)
        pairs = torch.view_as_complex(turned.float().unflatten(2, (-1, 2)))
        turned = torch.view_as_real(pairs * step.rotation).to(x.dtype)
        store.flat_keys.index_copy_(0, step.key_places, turned[:, self.heads :].reshape(-1))
        store.flat_values.index_copy_(0, step.value_places, joined[:, turning:].reshape(-1, self.size))
        found = [self._attend(turned[group.rows, : self.heads], store, group) for group in groups]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _attend(self, queries: Tensor, store: _Store, group: _Group) -> Tensor:
        """What the rows of `group` [R, heads, D/2, 2] see, [R, heads * D]."""
        count, size, length = group.count, group.size, group.hidden.shape[-1]
        if group.spread is not None:
            queries = queries.new_zeros((count * size, *queries.shape[1:])).index_copy_(0, group.spread, queries)
        if size > 1:
            queries = queries.unflatten(0, (count, size)).transpose(1, 2)
        asked = queries.reshape(count * self.groups, -1, self.size)
        scores = torch.bmm(asked, store.keys[group.seen, :, :length])
        scores.view(count, self.groups, -1, size, length).add_(group.hidden)
        shares = scores.softmax(-1, dtype=torch.float32).to(queries.dtype)
        found = torch.bmm(shares, store.values[group.seen, :length])
        if size > 1:
            found = found.view(count, self.heads, size, self.size).transpose(1, 2)
        found = found.reshape(count * size, self.heads * self.size)
        return found if group.spread is None else found[group.spread]

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMS norm over the last dimension (Zhang and Sennrich, arXiv 1910.07467)."""
        if x.dtype == torch.float32:
            size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x / torch.hypot(size, self._least[x.shape[-1]]) * weight  # the weight holds the root of the width
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self._eps)).to(x.dtype) * weight

    def _logits(self, hidden: Tensor) -> Tensor:
        return torch.mm(hidden, self._head)


def tiled(chunks: Sequence[PrefillChunk], idle: int, compute: Callable[[Sequence[PrefillChunk]], Tensor]) -> Tensor:
    """The logits after the last id of each chunk, where every id is a row of its own; `compute` gives the logits of
    TILE rows, and the last tile is filled up with rows of slot `idle`. One thread computes: several cut a tile where
    they like, and what stands at a cut has other bits.
    """
    rows = [PrefillChunk(c.slot, c.start + i, [token]) for c in chunks for i, token in enumerate(c.token_ids)]
    ends = torch.tensor([len(c.token_ids) for c in chunks]).cumsum(0) - 1
    rows += [PrefillChunk(idle, 0, [0])] * (-len(rows) % TILE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return torch.cat([compute(rows[at : at + TILE]) for at in range(0, len(rows), TILE)])[ends]
    finally:
        torch.set_num_threads(threads)


def _bracket(chunk: PrefillChunk) -> int:
    """Chunks of up to 1, 2, 4, 8, ... ids attend together."""
    return (len(chunk.token_ids) - 1).bit_length()


def _laid(weight: Tensor) -> Tensor:
    """`weight` [out, in] as [in, out], each row a cache line longer than it needs."""
    rows = weight.new_zeros((weight.shape[1], weight.shape[0] + LINE))[:, : weight.shape[0]]
    return rows.copy_(weight.t())


def _paired(weight: Tensor, size: int) -> Tensor:
    """Rows of heads of `size`, so that the two halves of each rotary pair lie side by side."""
    heads: Tensor = weight.unflatten(0, (-1, 2, size // 2))
    return heads.transpose(1, 2).flatten(0, 2)
