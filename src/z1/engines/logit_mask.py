"""How is an id forced on a model that somebody else samples, or kept from it?

By its logits: every other id of the row becomes impossible, and its own logit stays, so that no temperature, top-p or
penalty that comes later can undo it. An id that is impossible already (a grammar forbids it) is not forced, and the row
stays as it was. Nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def force(logits: Tensor, rows: Sequence[int], ids: Sequence[int]) -> Tensor:
    """`logits` [rows, V], changed in place: row `rows[i]` allows `ids[i]` alone."""
    if not rows:
        return logits
    at = torch.tensor(rows, device=logits.device)
    wanted = torch.tensor(ids, device=logits.device).unsqueeze(1)
    before = logits[at]
    own = before.gather(1, wanted)
    alone = torch.full_like(before, float("-inf")).scatter(1, wanted, own)
    logits[at] = torch.where(own.isneginf(), before, alone)
    return logits


def forbid(logits: Tensor, rows: Sequence[int], ids: Sequence[int]) -> Tensor:
    """`logits` [rows, V], changed in place: row `rows[i]` does not allow `ids[i]`."""
    if rows:
        logits[torch.tensor(rows, device=logits.device), torch.tensor(ids, device=logits.device)] = float("-inf")
    return logits


def completing(context: Sequence[int], never: Iterable[tuple[int, ...]]) -> list[int]:
    """The ids that would complete one of `never` behind `context`."""
    size = len(context)
    return [end[-1] for end in never if tuple(context[max(0, size - len(end) + 1) : size]) == end[:-1]]
