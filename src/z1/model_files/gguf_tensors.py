"""Reading the tensors of a GGUF file; the gguf library dequantizes them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from z1.errors import UserError
from z1.model_files.gguf_header import Gguf, GgufTensor

F32, F16, BF16 = 0, 1, 30
"""ggml's numbers of the types that are not quantized."""

HALF = {F16: torch.float16, BF16: torch.bfloat16}


def check_weights(gguf: Gguf) -> None:
    """Raise UserError for a file whose weights are not complete, or of a type that cannot be read."""
    where = f"GGUF file {gguf.files[0]}"
    if not gguf.tensors:
        raise UserError(where, "no weights, only a tokenizer", "give the file with the model's weights")
    for tensor in gguf.tensors.values():
        if tensor.kind not in _sizes():
            raise UserError(where, f"tensors of the unknown type {tensor.kind}", "update the library gguf")
        have, end = tensor.file.stat().st_size, tensor.offset + _num_bytes(tensor)
        if end > have:
            got = f"the first {have / 1e6:,.0f} MB of a longer file ({tensor.name} ends at {end / 1e6:,.0f} MB)"
            raise UserError(where, got, "download all of it")


def read_tensor(tensor: GgufTensor) -> Tensor:
    """The values of `tensor`: 16-bit ones as they are, others in float32."""
    import gguf

    raw = np.fromfile(tensor.file, np.uint8, _num_bytes(tensor), offset=tensor.offset)
    if tensor.kind in HALF:
        return torch.from_numpy(raw).view(HALF[tensor.kind]).view(tensor.shape)
    kind = gguf.GGMLQuantizationType(tensor.kind)
    rows = raw.reshape(-1, _num_bytes(tensor) // max(1, tensor.elements // tensor.shape[-1]))
    values = gguf.dequantize(rows, kind)
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).view(tensor.shape)


def _sizes() -> dict[int, tuple[int, int]]:
    import gguf

    return {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}


def _num_bytes(tensor: GgufTensor) -> int:
    block, size = _sizes()[tensor.kind]
    return tensor.elements // block * size
