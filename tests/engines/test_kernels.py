"""The local engine passes the conformance tests with every kernel of this processor, also in deterministic mode."""

from __future__ import annotations

import pytest
import torch

from tests import kernels

TESTS = [
    "tests/engines/local/test_decoder.py",
    "tests/engines/local/test_transformers_decoder.py",
    "tests/engines/local/test_engine.py::test_conformance",
]


@pytest.mark.slow
@pytest.mark.timeout(900)  # four processes import everything anew, which a busy machine does slowly
@pytest.mark.parametrize(("capability", "products"), kernels.choices())
def test_decoders_and_conformance(capability: str, products: str) -> None:
    if (capability, products) == ("avx2", "fastest") and torch.cpu._is_amx_tile_supported():
        pytest.xfail("a known fault: MKL's AVX2 products on a processor with AMX differ in the last bits within a tile")
    kernels.run(TESTS, capability, products)
