"""An upstream server with the part of OpenAI's API that a remote engine uses, over a scripted model.

It serves token ids or text only, streams one token a chunk, and can be set to fail: reject, break off, end with an
error, or be slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.engines.http_host import STREAM_HEAD, HttpHost, send_event, send_whole

Next = Callable[[Sequence[int]], int]


@dataclass
class Upstream(HttpHost):
    """`ids`: whether it has token ids. Each request uses up one of `faults`: a status, "break" or "error"."""

    next_id: Next
    ids: bool = True
    end: int = 3
    length: int = 400
    faults: list[int | str] = field(default_factory=list)

    async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
        if path.endswith("/models"):
            card = {"id": "made", "object": "model", "created": 0, "owned_by": "tests", "max_model_len": self.length}
            return send_whole(writer, 200, {"object": "list", "data": [card]})
        self.asked.append(body)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return send_whole(writer, fault, {"error": {"message": "as told", "type": "x", "code": fault}})
        if isinstance(body["prompt"], list) and not self.ids:
            return send_whole(writer, 400, {"error": {"message": "prompt must be text", "type": "x", "code": 400}})
        context = body["prompt"] if self.ids else [ord(letter) for letter in body["prompt"]]
        if not body.get("stream"):
            choice = {"index": 0, "text": "a", "token_ids": [97], "finish_reason": "length", "logprobs": None}
            return send_whole(writer, 200, _completion([choice]))
        await self._stream(body, list(context), writer, fault)

    async def _stream(
        self, body: dict[str, Any], context: list[int], writer: asyncio.StreamWriter, fault: str | None
    ) -> None:
        writer.write(STREAM_HEAD)
        stops = set(body.get("stop_token_ids", ())) | (set() if body.get("ignore_eos") else {self.end})
        for count in range(1, body["max_tokens"] + 1):
            if fault is not None and count == 3:
                if fault == "error":
                    send_event(writer, {"error": {"message": "the engine died", "type": "x", "code": 500}})
                return None
            token = self.next_id(context)
            context.append(token)
            stopped = token in stops
            choice: dict[str, Any] = {"index": 0, "text": "" if stopped else chr(max(0, token)), "finish_reason": None}
            if self.ids:
                choice["token_ids"] = [token]
            if stopped or count == body["max_tokens"]:
                choice["finish_reason"] = "stop" if stopped else "length"
            send_event(writer, _completion([choice]))
            await writer.drain()
            await asyncio.sleep(0)
            if stopped:
                break
        writer.write(b"data: [DONE]\n\n")
        return None


def _completion(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "c", "object": "text_completion", "created": 0, "model": "made", "choices": choices}
