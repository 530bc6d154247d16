"""How does a server process begin and end?

uvicorn serves on the loopback address unless told otherwise. SIGTERM and Ctrl-C drain: nobody new is let in, replies
under way are finished for up to `grace` seconds, then they are given up.
"""

from __future__ import annotations

import gc
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn

from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and how long (seconds) replies under way may take to finish at the end."""

    host: str = "127.0.0.1"
    port: int = 8000
    shutdown_timeout: int = 30


def server(app: Any, address: Address) -> uvicorn.Server:
    """A server that `run` can run."""
    settings: dict[str, Any] = {"access_log": False, "server_header": False, "log_config": None, "ws": "none"}
    grace = address.shutdown_timeout
    config = uvicorn.Config(app, address.host, address.port, timeout_graceful_shutdown=grace, **settings)
    return uvicorn.Server(config)


def run(app: Any, address: Address, tell: Callable[[str], None]) -> None:
    """Serve until a signal comes; `tell` is given the address once it listens. Raises UserError where it is taken."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("z1").setLevel(logging.INFO)  # what a library says of its own requests is no line of JSON
    listening = _listen(address)
    gc.collect()
    gc.freeze()  # what is there now stays: looking through all of it again would hold up every stream
    host, port = listening.getsockname()[:2]
    tell(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server(app, address).run([listening])


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family, backlog=2048)
    except OSError as error:
        what = f"address {address.host}:{address.port}"
        raise UserError(what, error.strerror, "choose another --port, or stop who has it") from None
