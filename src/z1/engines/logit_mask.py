"""Logit masks that force, forbid or favour tokens of a model that another server samples.

Forcing sets all other logits of the row to -inf and keeps the token's own, so that a later temperature, top-p or
penalty cannot undo it. A token whose logit is already -inf (a grammar forbids it) is not forced, and the row stays
unchanged. No function here synchronises with the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def force(logits: Tensor, rows: Sequence[int], token_ids: Sequence[int]) -> Tensor:
    """`logits` [rows, V], changed in place: row `rows[i]` allows only `token_ids[i]`."""
    if not rows:
        return logits
    at = torch.tensor(rows, device=logits.device)
    forced = torch.tensor(token_ids, device=logits.device).unsqueeze(1)
    before = logits[at]
    own = before.gather(1, forced)
    masked = torch.full_like(before, float("-inf")).scatter(1, forced, own)
    logits[at] = torch.where(own.isneginf(), before, masked)
    return logits


def forbid(logits: Tensor, rows: Sequence[int], token_ids: Sequence[int]) -> Tensor:
    """`logits` [rows, V], changed in place: row `rows[i]` does not allow `token_ids[i]`."""
    if rows:
        logits[torch.tensor(rows, device=logits.device), torch.tensor(token_ids, device=logits.device)] = float("-inf")
    return logits


def add_bias(logits: Tensor, rows: Sequence[int], token_ids: Sequence[int], values: Sequence[float]) -> Tensor:
    """`logits` [rows, V], changed in place: `values[i]` is added to that of `token_ids[i]` in row `rows[i]`."""
    if rows:
        at = (torch.tensor(rows, device=logits.device), torch.tensor(token_ids, device=logits.device))
        logits[at] += torch.tensor(values, device=logits.device, dtype=logits.dtype)
    return logits


def completing_tokens(context: Sequence[int], sequences: Iterable[tuple[int, ...]]) -> list[int]:
    """The tokens that would complete one of `sequences` after `context`."""
    size = len(context)
    return [one[-1] for one in sequences if tuple(context[max(0, size - len(one) + 1) : size]) == one[:-1]]
