"""Server process: socket, logging, signals and graceful shutdown, with uvicorn.

The default address is loopback. On SIGTERM and Ctrl-C the server accepts no new requests, running replies may finish
for up to `shutdown_timeout` seconds, and the rest are cancelled.
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

KEEP_ALIVE_S = 90
"""Seconds that an idle connection is kept: more than the 75 of nginx and the 60 of load balancers, so that they close
it and never send a request into a connection that is being closed.
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and the seconds that running replies have to finish at shutdown."""

    host: str = "127.0.0.1"
    port: int = 8000
    shutdown_timeout: int = 30


def make_server(app: Any, address: Address) -> uvicorn.Server:
    """A uvicorn server for `app`; `run` listens and runs it."""
    settings: dict[str, Any] = {"access_log": False, "server_header": False, "log_config": None, "ws": "none"}
    timeout = address.shutdown_timeout
    settings["timeout_keep_alive"] = KEEP_ALIVE_S
    config = uvicorn.Config(app, address.host, address.port, timeout_graceful_shutdown=timeout, **settings)
    return uvicorn.Server(config)


def run(app: Any, address: Address, on_listening: Callable[[str], None]) -> None:
    """Serve until a signal; `on_listening` receives the URL. Raises UserError if the address cannot be bound."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("z1").setLevel(logging.INFO)  # libraries stay at WARNING, so that the log is lines of JSON
    listener = _listen(address)
    gc.collect()
    gc.freeze()  # long-lived objects: a full collection over them would pause every stream
    host, port = listener.getsockname()[:2]
    on_listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    make_server(app, address).run([listener])


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family, backlog=2048)
    except OSError as error:
        what = f"address {address.host}:{address.port}"
        raise UserError(what, error.strerror, "choose another --port, or stop the process that uses it") from None
