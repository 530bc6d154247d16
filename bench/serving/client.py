"""A streaming client with minimal overhead, for latency and throughput of many concurrent replies.

All connections are opened, then all requests are sent. The client records the arrival time of each chunk and parses
only the last usage. Chunks that arrive together count once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(slots=True)
class Stream:
    """One reply as its client received it; times in seconds since the request."""

    times: list[float] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)

    @property
    def gaps(self) -> list[float]:
        """Seconds between chunks."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


class _Reader(asyncio.Protocol):
    def __init__(self) -> None:
        self.stream = Stream()
        self.sent = 0.0
        self.done = asyncio.get_running_loop().create_future()
        self._tail = b""

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if b'"text":"' in data or b'"text": "' in data:
            self.stream.times.append(now - self.sent)
        self._tail = (self._tail + data)[-8000:]
        if b"[DONE]" in data and not self.done.done():
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(self._tail[-500:].decode(errors="replace")))

    def _end(self) -> None:
        for line in self._tail.decode(errors="replace").splitlines():
            if line.startswith("data: {"):
                try:
                    event = json.loads(line[6:])
                except ValueError:  # the kept tail starts inside this line
                    continue
                self.stream.usage = event.get("usage") or self.stream.usage
                for choice in event.get("choices", ()):
                    self.stream.budget = choice.get("budget") or self.stream.budget
        self.done.set_result(None)


async def stream_all(url: str, bodies: Sequence[dict[str, Any]]) -> tuple[list[Stream], float]:
    """Send every request concurrently; the streams, and the seconds until the last one ended."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(_Reader, parts.hostname or "", parts.port or 80) for _ in bodies]
    sends = [_request(parts.hostname or "", body) for body in bodies]
    start = time.perf_counter()
    for (transport, reader), data in zip(pairs, sends, strict=True):
        reader.sent = time.perf_counter()
        transport.write(data)
    await asyncio.gather(*(reader.done for _, reader in pairs))
    seconds = time.perf_counter() - start
    for transport, _ in pairs:
        transport.close()
    return [reader.stream for _, reader in pairs], seconds


def _request(host: str, body: dict[str, Any]) -> bytes:
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
