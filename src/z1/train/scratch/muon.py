"""The Muon optimizer, for the matrices inside the layers.

Source: Keller Jordan, https://kellerjordan.github.io/posts/muon/. Momentum, then the nearest orthogonal matrix by five
Newton-Schulz steps. `torch.optim.Muon` does the same, but one matrix at a time and in bfloat16, which a CPU without
bfloat16 units multiplies at a quarter of the float32 rate; here matrices of one shape are batched, in float32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum; as in the original, steps are scaled by max(1, rows/columns)^½."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for matrices in by_shape.values():
                self._update(matrices, group)

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        directions = []
        for matrix in matrices:
            momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
            gradient = matrix.grad if matrix.grad is not None else torch.zeros_like(matrix)
            momentum.lerp_(gradient, 1 - group["momentum"])
            directions.append(gradient.lerp(momentum, group["momentum"]))
        rows, columns = matrices[0].shape
        scale = max(1.0, rows / columns) ** 0.5
        for matrix, update in zip(matrices, orthogonal(torch.stack(directions)), strict=True):
            matrix.add_(update, alpha=-group["lr"] * scale)


def orthogonal(batch: Tensor) -> Tensor:
    """Approximately the orthogonal matrices nearest to `batch` [n, rows, columns].

    Singular values end between about 0.7 and 1.2, except for directions below about 0.2 % of a matrix's norm, which
    five steps do not raise.
    """
    a, b, c = COEFFICIENTS
    is_tall = batch.size(-2) > batch.size(-1)
    x = batch.mT if is_tall else batch
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if is_tall else x
    return result
