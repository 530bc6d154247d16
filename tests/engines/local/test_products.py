"""Products with stored weights are those of a linear layer."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from z1.engines.local.products import multiply, pack


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 3, 32])
@pytest.mark.parametrize("added", [None, "bias", "residual"])
def test_a_product_is_that_of_a_linear_layer(dtype: torch.dtype, rows: int, added: str | None) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(rows, 48).to(dtype), torch.randn(96, 48).to(dtype)
    more = {None: None, "bias": torch.randn(96), "residual": torch.randn(rows, 96)}[added]
    kept = None if more is None else more.to(dtype)
    with torch.inference_mode():
        found = multiply(x, pack(weight), kept)
        wanted = functional.linear(x.float(), weight.float()) + (0 if kept is None else kept.float())
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=1e-4 if dtype == torch.float32 else 0.15)
