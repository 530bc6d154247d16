"""A scripted upstream with tools: it thinks, calls the tools of a request, and answers from what they returned.

It answers question number n with "It is n.". If the request has tools, the second question is answered after a call of
the first tool with n; with `turns`, every question is answered after so many calls. It closes a stream where z1 cuts
the thought, and continues a message of the assistant, as vLLM does.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

THOUGHT = "hm, let us see."
END = "</think>"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

Delta = dict[str, Any]


@dataclass
class ToolHost:
    """`program` is the argument of the n-th of `turns` calls; `size` is that of a piece of text."""

    thought: str = THOUGHT
    turns: int = 0
    program: str = "{n}"
    owner: str = "vllm"
    size: int = 4
    asked: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
            body = json.loads(await reader.readexactly(size)) if size else None
            if body is None:
                card = {"id": "host", "owned_by": self.owner, "max_model_len": 100_000}
                self._whole(writer, 200, {"data": [card]})
            elif "/chat/completions" not in head.split()[1]:
                self._whole(writer, 404, {"error": {"message": "no such route"}})
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
        writer.write(HEAD)
        deltas, reason = self._reply(body)
        for delta in deltas:
            self._event(writer, delta, None)
            await writer.drain()
        self._event(writer, {}, reason)
        writer.write(b"data: [DONE]\n\n")

    def _reply(self, body: dict[str, Any]) -> tuple[list[Delta], str]:
        messages = list(body["messages"])
        begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
        deltas = [] if END in begun else self._text("reasoning_content", self.thought)
        questions = sum(message["role"] == "user" for message in messages)
        results = 0
        while messages[-1 - results]["role"] == "tool":
            results += 1
        calls = sum(len(message.get("tool_calls") or ()) for message in messages)
        is_call = calls < self.turns if self.turns else questions == 2 and not results
        if body.get("tools") and is_call and body.get("tool_choice") != "none":
            return deltas + self._call(
                body["tools"][0]["function"], calls + 1 if self.turns else questions
            ), "tool_calls"
        answer = f"It is {questions}."
        return deltas + self._text("content", answer), "stop"

    def _call(self, function: dict[str, Any], n: int) -> list[Delta]:
        """A call of a function with its first parameter; id and name come first, and then the arguments in pieces."""
        (parameter, *_) = function["parameters"]["properties"]
        arguments = json.dumps({parameter: self.program.replace("{n}", str(n))})
        head = {"index": 0, "id": f"call_{n}", "type": "function"}
        deltas: list[Delta] = [{"tool_calls": [{**head, "function": {"name": function["name"], "arguments": ""}}]}]
        pieces = [arguments[at : at + self.size] for at in range(0, len(arguments), self.size)]
        return deltas + [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]

    def _text(self, name: str, text: str) -> list[Delta]:
        return [{name: text[at : at + self.size]} for at in range(0, len(text), self.size)]

    @staticmethod
    def _event(writer: asyncio.StreamWriter, delta: Delta, reason: str | None) -> None:
        value = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        writer.write(f"data: {json.dumps(value)}\n\n".encode())

    @staticmethod
    def _whole(writer: asyncio.StreamWriter, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


@contextmanager
def in_thread(host: ToolHost) -> Iterator[str]:
    """The URL up to /v1 of `host`, which runs in a thread of its own."""
    urls: list[str] = []
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
        async with server:
            urls.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
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
