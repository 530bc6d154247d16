"""A scripted upstream with tools: it thinks, calls the tools of a request, and answers from what they returned.

It answers question number n with "It is n.". If the request has tools, the second question is answered after a call of
the first tool with n; with `turns`, every question is answered after so many calls. It closes a stream where z1 cuts
the thought, and continues a message of the assistant, as vLLM does.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from tests.engines.http_host import STREAM_HEAD, Delta, HttpHost, send_delta, send_whole

THOUGHT = "hm, let us see."
END = "</think>"


@dataclass
class ToolHost(HttpHost):
    """`program` is the argument of the n-th of `turns` calls; `size` is that of a piece of text."""

    thought: str = THOUGHT
    turns: int = 0
    program: str = "{n}"
    owner: str = "vllm"
    size: int = 4

    async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
        if body is None:
            send_whole(writer, 200, {"data": [{"id": "host", "owned_by": self.owner, "max_model_len": 100_000}]})
        elif "/chat/completions" not in path:
            send_whole(writer, 404, {"error": {"message": "no such route"}})
        else:
            self.asked.append(body)
            await self._stream(body, writer)

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        deltas, reason = self._reply(body)
        for delta in deltas:
            send_delta(writer, delta, None)
            await writer.drain()
        send_delta(writer, {}, reason)
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
