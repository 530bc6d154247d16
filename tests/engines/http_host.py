"""A scripted HTTP server for the tests of remote engines: it reads a request, answers, and closes the connection."""

from __future__ import annotations

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

Delta = dict[str, Any]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@dataclass(kw_only=True)
class HttpHost(ABC):
    """`asked` has the bodies that a subclass answered, `open` is the number of its connections."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
            body = json.loads(await reader.readexactly(size)) if size else None
            await self.answer(head.split()[1], body, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()

    @abstractmethod
    async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
        """Answer a request; `body` is None for a GET."""


def send_event(writer: asyncio.StreamWriter, value: Any) -> None:
    """Send an event of a stream."""
    writer.write(f"data: {json.dumps(value)}\n\n".encode())


def send_delta(writer: asyncio.StreamWriter, delta: Delta, reason: str | None) -> None:
    """Send a chunk of a chat completion."""
    send_event(writer, {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def send_whole(writer: asyncio.StreamWriter, status: int, value: Any) -> None:
    """Send a whole response."""
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} as told\r\ncontent-type: application/json\r\nretry-after: 3\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def serving(host: HttpHost) -> AsyncIterator[str]:
    """The URL up to /v1 of `host`."""
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@contextmanager
def in_thread(host: HttpHost) -> Iterator[str]:
    """The same in a thread of its own."""
    urls: list[str] = []
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with serving(host) as url:
            urls.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
