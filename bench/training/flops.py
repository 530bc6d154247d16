"""The minimal FLOPs of a training step.

Forward and backward together take three times the products of the forward: every token with the matrices of the layers,
every learned token with the output matrix, and every token with itself and the tokens before it in its row. The
recomputation of gradient checkpointing is not counted.
"""

from __future__ import annotations

import numpy as np

from bench.thinking.models import Shape
from z1.train.encode import EncodedRows


def flops(shape: Shape, rows: EncodedRows) -> float:
    """FLOPs of one epoch over these rows."""
    inner, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    layer = shape.hidden * (2 * inner + 2 * kv + 3 * shape.ffn)
    sizes = rows.lengths.astype(np.float64)
    seen = float((sizes * (sizes + 1) / 2).sum())
    head = float(rows.learned_counts.sum()) * shape.vocabulary * shape.hidden
    return 3 * (2 * float(sizes.sum()) * shape.layers * layer + 4 * seen * shape.layers * inner + 2 * head)
