"""What does a step have to compute at least?

Forward and backward, three times the products of the forward: of every id with the matrices of the layers, of every
learned id with the output matrix, and of every id with itself and what came before it in its row. Recomputing for
gradient checkpointing is not in it.
"""

from __future__ import annotations

import numpy as np

from bench.thinking.models import Shape
from z1.train.encode import EncodedRows


def flops(shape: Shape, rows: EncodedRows) -> float:
    """Of teaching each of these rows once."""
    inner, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    layer = shape.hidden * (2 * inner + 2 * kv + 3 * shape.ffn)
    sizes = rows.lengths.astype(np.float64)
    seen = float((sizes * (sizes + 1) / 2).sum())
    head = float(rows.learned_counts.sum()) * shape.vocabulary * shape.hidden
    return 3 * (2 * float(sizes.sum()) * shape.layers * layer + 4 * seen * shape.layers * inner + 2 * head)
