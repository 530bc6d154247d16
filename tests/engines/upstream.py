"""An upstream server with the part of OpenAI's API that a remote engine uses, over a scripted model.

It serves token ids or text only, streams one token a chunk, and can be set to fail: reject, break off, end with an
error, or be slow.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Next = Callable[[Sequence[int]], int]


@dataclass
class Upstream:
    """`ids`: whether it has token ids. Each request uses up one of `faults`: a status, "break" or "error"."""

    next_id: Next
    ids: bool = True
    end: int = 3
    length: int = 400
    faults: list[int | str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
            body = json.loads(await reader.readexactly(size)) if size else {}
            await self._answer(head.split()[1], body, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if path.endswith("/models"):
            card = {"id": "made", "object": "model", "created": 0, "owned_by": "tests", "max_model_len": self.length}
            return _whole(writer, 200, {"object": "list", "data": [card]})
        self.asked.append(body)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return _whole(writer, fault, {"error": {"message": "as told", "type": "x", "code": fault}})
        if isinstance(body["prompt"], list) and not self.ids:
            return _whole(writer, 400, {"error": {"message": "prompt must be text", "type": "x", "code": 400}})
        context = body["prompt"] if self.ids else [ord(letter) for letter in body["prompt"]]
        if not body.get("stream"):
            choice = {"index": 0, "text": "a", "token_ids": [97], "finish_reason": "length", "logprobs": None}
            return _whole(writer, 200, _completion([choice]))
        await self._stream(body, list(context), writer, fault)

    async def _stream(
        self, body: dict[str, Any], context: list[int], writer: asyncio.StreamWriter, fault: str | None
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        stops = set(body.get("stop_token_ids", ())) | (set() if body.get("ignore_eos") else {self.end})
        for count in range(1, body["max_tokens"] + 1):
            if fault is not None and count == 3:
                if fault == "error":
                    _event(writer, {"error": {"message": "the engine died", "type": "x", "code": 500}})
                return None
            token = self.next_id(context)
            context.append(token)
            stopped = token in stops
            choice: dict[str, Any] = {"index": 0, "text": "" if stopped else chr(max(0, token)), "finish_reason": None}
            if self.ids:
                choice["token_ids"] = [token]
            if stopped or count == body["max_tokens"]:
                choice["finish_reason"] = "stop" if stopped else "length"
            _event(writer, _completion([choice]))
            await writer.drain()
            await asyncio.sleep(0)
            if stopped:
                break
        writer.write(b"data: [DONE]\n\n")
        return None


def _completion(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "c", "object": "text_completion", "created": 0, "model": "made", "choices": choices}


def _event(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(f"data: {json.dumps(value)}\n\n".encode())


def _whole(writer: asyncio.StreamWriter, status: int, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} as told\r\ncontent-type: application/json\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def serving(upstream: Upstream) -> AsyncIterator[str]:
    """Its URL up to /v1."""
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
