"""A host with chat completions alone, over a scripted thought and answer.

It sends the thought in `reasoning_content` or in think tags, keeps budgets under a field of its own or continues an
assistant's message, and streams a few characters an event.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.engines.http_host import STREAM_HEAD, HttpHost, send_delta, send_whole

THOUGHT = "let us see. " * 6
ANSWER = "It is 7."
FORCED = "Probably 7."
END = "</think>"


@dataclass
class ChatHost(HttpHost):
    """`tags`: the thought is in the content. `field`: the name of a budget field that it keeps. `size`: of a piece."""

    tags: bool = False
    budget_field: str | None = None
    size: int = 3
    max_tokens: int | None = None
    echoes: bool = False
    delay_s: float = 0.0
    statuses: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
        if body is None:
            send_whole(writer, 200, {"data": [{"id": "host", "context_length": 900}]})
        elif "/chat/completions" not in path:
            send_whole(writer, 404, {"error": {"message": "no such route"}})
        elif self.statuses:
            send_whole(writer, self.statuses.pop(0), {"error": {"message": "not now", "code": "busy"}})
        else:
            self.asked.append(body)
            await self._stream(body, writer)

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        parts = self._parts(body)
        self.sent.append(0)
        left = self.max_tokens or 10**9
        for name, text in parts:
            for at in range(0, len(text), self.size):
                piece = text[at : at + self.size][:left]
                left -= len(piece)
                send_delta(writer, {name: piece}, None)
                self.sent[-1] += len(piece)
                await writer.drain()
                await asyncio.sleep(self.delay_s)
                if not left:
                    return send_delta(writer, {}, "length")
        send_delta(writer, {}, "stop")
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
