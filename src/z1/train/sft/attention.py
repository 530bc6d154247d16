"""How does a row in a pack attend to itself alone?

A pack is rows end to end, [1, N] ids. Every decoder of transformers that speaks its attention interface can be given
this function by name (`ROWS`); it is told where rows begin by `cu_seq_lens_q`, as transformers' own FlashAttention is.
On an accelerator in half precision it is torch's variable-length attention. Elsewhere it calls SDPA once a row: no
mask, and no work on pairs that must not see each other; on a CPU that takes a third of the time of one call under a
block mask (see LOG.md). A mask is made only for a row longer than a sliding window and under capped scores (Gemma 2).

Source: transformers' AttentionInterface; torch.nn.attention.varlen. `sdpa` of transformers drops `softcap` without a
word, this function does not.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

ROWS = "z1_rows"
"""The name under which transformers finds it."""


def attend(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """Causal attention of queries [B, H, N, D] to keys and values [B, heads of keys, N, D]: [B, N, H, D].

    `told` has `scaling`, and where they apply `cu_seq_lens_q` [rows + 1], `max_length_q`, `sliding_window`, `softcap`,
    `dropout`. Without `cu_seq_lens_q` each of the B rows is one row.
    """
    bounds, window, cap = told.get("cu_seq_lens_q"), told.get("sliding_window"), told.get("softcap")
    if bounds is not None and query.is_cuda and query.dtype != torch.float32 and not cap and not told.get("dropout"):
        return _varlen(query, key, value, told), None
    sizes = [query.size(2)] if bounds is None else bounds.diff().tolist()
    rows = zip(query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), strict=True)
    one = _capped if cap else _row
    return torch.cat([one(*row, told, window) for row in rows], 2).transpose(1, 2).contiguous(), None


def _varlen(query: Tensor, key: Tensor, value: Tensor, told: dict[str, Any]) -> Tensor:
    bounds, longest, window = told["cu_seq_lens_q"], told["max_length_q"], told.get("sliding_window")
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    sight = (window - 1 if window else -1, 0)
    seen: Any = varlen_attn(
        q, k, v, bounds, bounds, longest, longest, scale=told.get("scaling"), window_size=sight, enable_gqa=True
    )
    return cast(Tensor, seen[None])


def _row(query: Tensor, key: Tensor, value: Tensor, told: dict[str, Any], window: int | None) -> Tensor:
    mask = _near(query.size(2), window, query.device) if window and query.size(2) > window else None
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=told.get("dropout", 0.0),
        is_causal=mask is None,
        scale=told.get("scaling"),
        enable_gqa=True,
    )


def _capped(query: Tensor, key: Tensor, value: Tensor, told: dict[str, Any], window: int | None) -> Tensor:
    """Scores go through cap * tanh(score / cap), which SDPA cannot do."""
    groups = query.size(1) // key.size(1)
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.mT * told["scaling"]
    scores = told["softcap"] * (scores / told["softcap"]).tanh()
    scores = scores.masked_fill(~_near(query.size(2), window, query.device), -torch.inf)
    odds = F.dropout(scores.float().softmax(-1).to(value.dtype), told.get("dropout", 0.0))
    return odds @ value


def _near(size: int, window: int | None, device: torch.device) -> Tensor:
    """Who sees whom [size, size]: oneself and what came before, at most `window` in all."""
    at = torch.arange(size, device=device)
    distance = at[:, None] - at[None, :]
    return (distance >= 0) & (distance < (window or size))


AttentionInterface.register(ROWS, attend)
