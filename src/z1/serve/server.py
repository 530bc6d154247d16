"""Server process: socket, logging, signals and graceful shutdown, with uvicorn.

The default address is loopback. On SIGTERM and Ctrl-C the server accepts no new requests, running replies may finish
for up to `shutdown_timeout` seconds, and the rest are cancelled. Connections for which no file descriptor is free get
status 503.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import uvicorn

from z1.errors import UserError

KEEP_ALIVE_S = 90
"""Seconds that an idle connection is kept: more than the 75 of nginx and the 60 of load balancers, so that they close
it and never send a request into a connection that is being closed.
"""

MAX_PORT = 65535

LOG_INTERVAL = 10.0
"""Seconds between two log lines about missing file descriptors."""

NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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


class Listener(socket.socket):
    """A listening socket that refuses a connection if no file descriptor is free, by means of one that it reserves.

    asyncio would log a traceback and plan a retry for each of the connections that wait, thousands a second.
    """

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(fileno=listening.detach())
        self._reserved: int | None = os.open(os.devnull, os.O_RDONLY)
        self._next_log = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises BlockingIOError if there is none, or after refusing one."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in NO_DESCRIPTORS:
                raise
        self._refuse()
        raise BlockingIOError(errno.EAGAIN, "a connection was refused")

    def close(self) -> None:
        """Close the socket and the reserved descriptor."""
        self._release()
        super().close()

    def _refuse(self) -> None:
        if (now := time.monotonic()) >= self._next_log:
            self._next_log = now + LOG_INTERVAL
            do = "raise the limit (ulimit -n) above the number of connections"
            logging.getLogger("z1.serve").error("no free file descriptors, connections are refused with 503: %s", do)
        self._release()
        with suppress(OSError), super().accept()[0] as connection:
            connection.setblocking(False)
            connection.send(UNAVAILABLE)
        with suppress(OSError):
            self._reserved = os.open(os.devnull, os.O_RDONLY)

    def _release(self) -> None:
        if self._reserved is not None:
            os.close(self._reserved)
            self._reserved = None


def _listen(address: Address) -> socket.socket:
    if not 0 <= address.port <= MAX_PORT:
        raise UserError("port", address.port, f"give 0 (a free one) to {MAX_PORT}")
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return Listener(socket.create_server((address.host, address.port), family=family, backlog=2048))
    except (OSError, UnicodeError) as error:
        what, got = f"address {address.host}:{address.port}", getattr(error, "strerror", None) or error
        raise UserError(what, got, "choose another --port, or stop the process that uses it") from None
