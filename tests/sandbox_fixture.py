"""The sandbox that the tests of graders and of the sandbox share; conftest.py of both folders imports it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from z1.sandbox import Sandbox, pool


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Fails on a Linux machine that provides no isolation."""
    if not sys.platform.startswith("linux"):
        pytest.skip("namespaces exist on Linux only")
    with Sandbox(preload=pool.TEST_MODULES) as shared:
        yield shared
