"""Products with stored weights are those of a linear layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from z1.engines.local import products
from z1.engines.local.products import multiply, multiply_small, pack, transpose


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


@pytest.mark.parametrize("amd", [True, False])
@pytest.mark.parametrize("length", [5, 100, 3_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_products_are_those_of_torch_on_every_processor(
    amd: bool, length: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_is_amd", lambda: amd)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    torch.manual_seed(0)
    queries, keys = torch.randn(6, 3, 64).to(dtype), torch.randn(6, 64, length + 11).to(dtype)
    with torch.inference_mode():
        found = multiply_small(queries, keys[:, :, :length])  # keys are part of a wider store
        torch.testing.assert_close(found, torch.bmm(queries, keys[:, :, :length]), rtol=1e-5, atol=1e-4)
        assert found.add_(1).dtype == dtype


def test_small_products_are_left_to_torch_with_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_is_amd", lambda: True)
    monkeypatch.setattr("numpy.matmul", lambda *_: pytest.fail("NumPy has one thread"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert multiply_small(torch.ones(2, 3, 4), torch.ones(2, 4, 5)).shape == (2, 3, 5)
