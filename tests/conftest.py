"""The environment of every test: the same on every machine.

No network but the loopback interface, no settings from outside, one thread, a plain terminal of 120 columns, a working
Ctrl-C, and the same examples for property tests each time. A few variables are read when a library is imported, so
they are set here first and again around each test.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings

SET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "COLUMNS": "120",
    "NO_COLOR": "1",
    "TERM": "dumb",
}
UNSET = (
    "FORCE_COLOR",
    "PY_COLORS",
    "GITHUB_ACTIONS",
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PYTHONWARNINGS",
    "PYTHONDONTWRITEBYTECODE",  # each of hundreds of child processes would compile torch and transformers again
)

HERE = {"127.0.0.1", "::1", "localhost"}

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell makes its background processes ignore Ctrl-C, and their children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def scrub() -> None:
    """Remove everything from the environment that could change a result."""
    for name in [*UNSET, *(name for name in os.environ if name.startswith("Z1_"))]:
        os.environ.pop(name, None)
    os.environ.update(SET)


os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
scrub()
settings.register_profile("z1", derandomize=True, deadline=None)
settings.load_profile("z1")


@pytest.fixture(autouse=True)
def surroundings() -> Iterator[None]:
    """The scrubbed environment; restored afterwards."""
    with mock.patch.dict(os.environ):
        scrub()
        yield


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Connecting to another machine fails at once and says so."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in HERE:
            raise PermissionError(f"a test tried to connect to {address[0]}; tests have no network")
        connect(self, address)

    with mock.patch.object(socket.socket, "connect", guarded):
        yield
