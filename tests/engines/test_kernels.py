"""The local engine passes the conformance tests with every kernel of this processor, also in deterministic mode."""

from __future__ import annotations

import pytest

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
    kernels.run(TESTS, capability, products)
