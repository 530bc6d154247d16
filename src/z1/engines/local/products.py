"""Matrix products of the decoder, and how their weights are stored.

In float32 weights are [in, out] with padded rows, so the residual is added in the product. In bfloat16 on a CPU that
multiplies in bfloat16 they are packed by oneDNN, which takes 0.45 to 0.6 of the time with one row and 0.6 to 0.95 with
16 and 64 (measured, see LOG.md); torch has this as an operator for its own compiler only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from z1.engines.local.kv_store import ROW_PADDING


def pack(weight: Tensor) -> Tensor:
    """`weight` [out, in], stored for `multiply`."""
    if weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and packs():
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        return packed
    rows = weight.new_zeros((weight.shape[1], weight.shape[0] + ROW_PADDING))[:, : weight.shape[0]]
    return rows.copy_(weight.t())


def packs() -> bool:
    """Whether this processor multiplies in bfloat16, and this torch has the operator."""
    return bool(
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def multiply(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """The product of `x` [R, in] with a packed weight, plus `added` [R, out] or [out]."""
    if weight.is_mkldnn:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, None, "none", [], "")
        return found if added is None else found.add_(added)
    return torch.mm(x, weight) if added is None else torch.addmm(added, x, weight)
