"""Messages between two processes: JSON texts of known length over a socket."""

from __future__ import annotations

import json
import os
import socket
from typing import Any, Self

MAX_BYTES = 1 << 30


class Channel:
    """One end. A message that is no JSON raises ValueError or RecursionError; a closed other end, EOFError."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send `message`; raises OSError if the other end is closed."""
        text = json.dumps(message).encode()
        self._socket.sendall(b"%d\n" % len(text) + text)

    def receive(self) -> dict[str, Any]:
        """Wait for a message."""
        head = self._file.readline(20)
        if not head.endswith(b"\n"):
            raise EOFError
        size = int(head)
        if not 0 <= size <= MAX_BYTES:
            raise ValueError(f"a message of {size} bytes")
        text = self._file.read(size)
        if len(text) < size:
            raise EOFError
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError("a message that is no object")
        return message


def close_others(kept: int) -> None:
    """Close every descriptor above stderr but `kept`."""
    os.closerange(3, kept)
    os.closerange(kept + 1, 256)
