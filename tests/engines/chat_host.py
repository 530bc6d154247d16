"""A host with chat completions alone, over a scripted thought and answer.

It sends the thought in `reasoning_content` or in think tags, keeps budgets under a field of its own or continues an
assistant's message, and streams a few characters an event.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

THOUGHT = "let us see. " * 6
ANSWER = "It is 7."
FORCED = "Probably 7."
END = "</think>"


@dataclass
class ChatHost:
    """`tags`: the thought is in the content. `field`: the name of a budget field that it keeps. `size`: of a piece."""

    tags: bool = False
    budget_field: str | None = None
    size: int = 3
    max_tokens: int | None = None
    echoes: bool = False
    delay_s: float = 0.0
    statuses: list[int] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
            body = json.loads(await reader.readexactly(size)) if size else None
            if body is None:
                self._whole(writer, 200, {"data": [{"id": "host", "context_length": 900}]})
            elif "/chat/completions" not in head.split()[1]:
                self._whole(writer, 404, {"error": {"message": "no such route"}})
            elif self.statuses:
                self._whole(writer, self.statuses.pop(0), {"error": {"message": "not now", "code": "busy"}})
            else:
                self.asked.append(body)
                await self._stream(body, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        parts = self._parts(body)
        self.sent.append(0)
        left = self.max_tokens or 10**9
        for name, text in parts:
            for at in range(0, len(text), self.size):
                piece = text[at : at + self.size][:left]
                left -= len(piece)
                self._event(writer, {name: piece}, None)
                self.sent[-1] += len(piece)
                await writer.drain()
                await asyncio.sleep(self.delay_s)
                if not left:
                    return self._event(writer, {}, "length")
        self._event(writer, {}, "stop")
        writer.write(b"data: [DONE]\n\n")
        return None

    def _parts(self, body: dict[str, Any]) -> list[tuple[str, str]]:
        last, thought = body["messages"][-1], THOUGHT
        if last["role"] == "assistant":
            so_far = last["content"] if not last.get("reasoning_content") else last["content"] + END
            if END not in so_far and not last.get("reasoning_content"):
                rest = THOUGHT[len(so_far.partition("\n")[2]) :]
                return [("reasoning_content", rest), ("content", ANSWER)]
            answer = last["content"].rpartition(END)[2].lstrip("\n") if END in last["content"] else last["content"]
            rest = FORCED.removeprefix(answer) if FORCED.startswith(answer) else ANSWER.removeprefix(answer)
            return [("content", (last["content"] if self.echoes else "") + rest)]
        if self.budget_field and self.budget_field in body:
            thought = thought[: body[self.budget_field] + 2]  # it counts in its own tokens
        if self.tags:
            return [("content", f"<think>\n{thought}{END}{ANSWER}" if thought else ANSWER)]
        return [*([("reasoning_content", thought)] if thought else []), ("content", ANSWER)]

    @staticmethod
    def _event(writer: asyncio.StreamWriter, delta: dict[str, Any], reason: str | None) -> None:
        value = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        writer.write(f"data: {json.dumps(value)}\n\n".encode())

    @staticmethod
    def _whole(writer: asyncio.StreamWriter, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} as told\r\ncontent-type: application/json\r\nretry-after: 3\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def serving(host: ChatHost) -> AsyncIterator[str]:
    """Its URL up to /v1."""
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
