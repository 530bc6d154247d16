"""Does the local engine keep its laws, and deterministic mode its bits, with every kernel that this processor has?"""

from __future__ import annotations

import pytest

from tests import kernels

LAWS = ["tests/engines/test_decoder.py", "tests/engines/test_general.py", "tests/engines/test_local.py::test_law_holds"]


@pytest.mark.timeout(900)  # four processes import everything anew, which a busy machine does slowly
@pytest.mark.parametrize(("capability", "products"), kernels.choices())
def test_decoder_and_laws_hold(capability: str, products: str) -> None:
    kernels.run(LAWS, capability, products)
