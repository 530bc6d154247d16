"""Matrix products of the decoder, and how their weights are stored.

Weights are [in, out] with padded rows, so a residual is added in the product. Where bits need not be equal in any
batch, large weights are packed by oneDNN on a CPU. In float32 its products take 0.6 to 0.8 of the time with 16 rows and
0.7 to 0.9 with 64, and the same with one; in bfloat16 0.45 to 0.6 with one row (measured on an AMD EPYC, see LOG.md).
A head in float32 is slower with one row, and takes 0.6 of the time with 16 (measured on an Intel Xeon too).
torch has them as an operator for its own compiler only, so it is used if it is there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from z1.engines.local.kv_store import ROW_PADDING

MIN_PACKED = 1 << 18
"""Values of a matrix below which a call of oneDNN costs more than it saves."""

MAX_SMALL = 1 << 18
"""Multiplications of a small product; OpenBLAS may use several threads beyond."""


def pack(weight: Tensor) -> Tensor:
    """`weight` [out, in] as oneDNN packs it, if it can and that is faster; else as `transpose`."""
    if not is_packed(weight):
        return transpose(weight)
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
    return packed


def is_packed(weight: Tensor) -> bool:
    """Whether `pack` packs `weight`."""
    return weight.device.type == "cpu" and weight.numel() >= MIN_PACKED and can_pack(weight.dtype)


def transpose(weight: Tensor) -> Tensor:
    """`weight` [out, in] as [in, out], with ROW_PADDING elements after each row."""
    rows = weight.new_zeros((weight.shape[1], weight.shape[0] + ROW_PADDING))[:, : weight.shape[0]]
    return rows.copy_(weight.t())


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this torch has the operator, and this processor multiplies in `dtype`."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def multiply(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """The product of `x` [R, in] with a stored weight, plus `added` [R, out] or [out]."""
    if weight.is_mkldnn:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, None, "none", [], "")
        return found if added is None else found.add_(added)
    return torch.mm(x, weight) if added is None else torch.addmm(added, x, weight)


def multiply_small(a: Tensor, b: Tensor) -> Tensor:
    """The products [S, rows, n] of `a` [S, rows, k] with `b` [S, k, n], as torch.bmm.

    torch leaves them to MKL, which is slow at small products on AMD: NumPy's OpenBLAS takes 0.5 to 1.0 of the time of
    one thread in float32 (3 to 24 rows, up to 1,300 keys). torch is as fast with two threads, and faster with more.
    """
    is_small = a.shape[1] * a.shape[2] * b.shape[2] <= MAX_SMALL
    if is_small and a.dtype == torch.float32 and a.device.type == "cpu" and _is_amd() and torch.get_num_threads() == 1:
        return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))
    return torch.bmm(a, b)


@cache
def _is_amd() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "AuthenticAMD" in cpuinfo.read_text("utf-8", errors="replace")
