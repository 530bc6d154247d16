"""Products with stored weights are those of a linear layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from z1.engines.local.products import multiply, pack, transpose


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 3, 32])
@pytest.mark.parametrize("added", [None, "bias", "residual"])
@pytest.mark.parametrize("store", [pack, transpose])
def test_a_product_is_that_of_a_linear_layer(dtype: torch.dtype, rows: int, added: str | None, store: Any) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(rows, 480).to(dtype), torch.randn(960, 480).to(dtype)
    more = {None: None, "bias": torch.randn(960), "residual": torch.randn(rows, 960)}[added]
    kept = None if more is None else more.to(dtype)
    with torch.inference_mode():
        found = multiply(x, store(weight), kept)
        wanted = functional.linear(x.float(), weight.float()) + (0 if kept is None else kept.float())
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=1e-3 if dtype == torch.float32 else 0.6)
