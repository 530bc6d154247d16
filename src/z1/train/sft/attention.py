"""Attention within the rows of a pack.

A pack is rows end to end, [1, N] tokens. Every decoder that uses transformers' attention interface can select this
function by name (`ROWS`); it gets the bounds of the rows in `cu_seq_lens_q`, as transformers' FlashAttention does. On
an accelerator in half precision it is torch's variable-length attention. Elsewhere it calls SDPA once per row: no mask,
and no computation across rows; on a CPU that takes a third of the time of one call with a block mask (see LOG.md). A
mask is needed only for a row longer than a sliding window and for capped scores (Gemma 2).

Source: transformers' AttentionInterface; torch.nn.attention.varlen. transformers' `sdpa` silently ignores `softcap`;
this function applies it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

ROWS = "z1_rows"
"""The name of this attention in transformers."""

SHORT = 512
"""Tokens of a row up to which a CPU attends faster in float32 than in bfloat16 (0.6 of the time; see LOG.md)."""


def attend(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Causal attention of queries [B, H, N, D] to keys and values [B, heads of keys, N, D]: [B, N, H, D].

    `options` has `scaling`, and optionally `cu_seq_lens_q` [rows + 1], `max_length_q`, `sliding_window`, `softcap`,
    `dropout`. Without `cu_seq_lens_q` each of the B rows is a row of its own.
    """
    bounds, window, cap = options.get("cu_seq_lens_q"), options.get("sliding_window"), options.get("softcap")
    is_half = query.is_cuda and query.dtype != torch.float32
    if bounds is not None and is_half and not cap and not options.get("dropout"):
        return _varlen(query, key, value, options), None
    lengths = [query.size(2)] if bounds is None else bounds.diff().tolist()
    rows = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    attend_row = _capped if cap else _sdpa
    return torch.cat([attend_row(*row, options, window) for row in rows], 2).transpose(1, 2).contiguous(), None


def _varlen(query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any]) -> Tensor:
    bounds, longest, window = options["cu_seq_lens_q"], options["max_length_q"], options.get("sliding_window")
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    window_size = (window - 1 if window else -1, 0)
    scale = options.get("scaling")
    output: Any = varlen_attn(
        q, k, v, bounds, bounds, longest, longest, scale=scale, window_size=window_size, enable_gqa=True
    )
    return cast(Tensor, output[None])


def _sdpa(query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any], window: int | None) -> Tensor:
    dtype = query.dtype
    if query.device.type == "cpu" and dtype == torch.bfloat16 and query.size(2) <= SHORT:
        query, key, value = query.float(), key.float(), value.float()
    mask = _causal_mask(query.size(2), window, query.device) if window and query.size(2) > window else None
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=options.get("dropout", 0.0),
        is_causal=mask is None,
        scale=options.get("scaling"),
        enable_gqa=True,
    ).to(dtype)


def _capped(query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any], window: int | None) -> Tensor:
    """Attention with scores cap * tanh(score / cap), which SDPA does not offer."""
    groups = query.size(1) // key.size(1)
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.mT * options["scaling"]
    scores = options["softcap"] * (scores / options["softcap"]).tanh()
    scores = scores.masked_fill(~_causal_mask(query.size(2), window, query.device), -torch.inf)
    weights = F.dropout(scores.float().softmax(-1).to(value.dtype), options.get("dropout", 0.0))
    return weights @ value


def _causal_mask(size: int, window: int | None, device: torch.device) -> Tensor:
    """Which positions attend to which [size, size]: to themselves and earlier ones, at most `window` in all."""
    at = torch.arange(size, device=device)
    distance = at[:, None] - at[None, :]
    return (distance >= 0) & (distance < (window or size))


AttentionInterface.register(ROWS, attend)
