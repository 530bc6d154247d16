"""One sandbox for all tests of graders; the machine has to give isolation, or every one of them says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from z1.sandbox import Sandbox, pool


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    if not sys.platform.startswith("linux"):
        pytest.skip("namespaces exist on Linux only")
    with Sandbox(warm=pool.TEST_MODULES) as made:
        yield made
