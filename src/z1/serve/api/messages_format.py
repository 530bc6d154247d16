"""The response format of POST /v1/messages, whole and as events, and Anthropic's format of errors.

A reply is a list of content blocks: a thought with its signature, a text, tool calls. Source: the types of the
anthropic package 2.14.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from z1.errors import Z1Error
from z1.serve.api.logprobs import chat_logprobs, join_fields
from z1.serve.api.openai_format import Choice, error_body, named_event
from z1.serve.api.reply_text import TextDelta, ToolDelta

STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "stop": "end_turn"}

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error type of a status; any other is an api_error, or an invalid_request_error below 500."""


def messages_error(body: Mapping[str, Any], status: int) -> dict[str, Any]:
    """An error in OpenAI's format as one in Anthropic's."""
    kind = ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = {"type": kind, "message": body["error"]["message"]}
    return {"type": "error", "error": error, "request_id": f"req_{uuid4().hex}"}


class MessagesFormat:
    """The format of one response; it has one choice. `sign` gives the signature of a thought."""

    id_prefix = "msg_"
    keep_alive = named_event("ping", {"type": "ping"})
    format_logprobs = staticmethod(chat_logprobs)

    def __init__(self, request_id: str, model: str, prompt_tokens: int, sign: Callable[[str], str]) -> None:
        self.id, self.model = self.id_prefix + request_id, model
        self._prompt_tokens, self._sign = prompt_tokens, sign
        self._open = ""
        self._count = 0
        self._thought: list[str] = []
        self._end: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}

    def first_chunk(self, index: int) -> bytes:
        """The message without content, and a ping."""
        usage = {"input_tokens": self._prompt_tokens, "output_tokens": 0}
        message = self._message([], {"stop_reason": None, "stop_sequence": None}, usage)
        return _event("message_start", message=message) + self.keep_alive

    def text_chunk(self, index: int, delta: TextDelta) -> bytes:
        """More of the thought or of the text."""
        text = delta[1]
        if delta[0] == "content":
            head = self._start("text", {"text": ""})
            return head + self._delta({"type": "text_delta", "text": text})
        head = self._start("thinking", {"thinking": "", "signature": ""})
        self._thought.append(text)
        return head + self._delta({"type": "thinking_delta", "thinking": text})

    def tool_chunk(self, index: int, delta: ToolDelta) -> bytes:
        """The head of a tool call, or more of its arguments."""
        head = b""
        if delta.name:
            block = {"id": delta.id, "name": delta.name, "input": {}}
            head = self._stop() + self._start("tool_use", block)
        return head + (self._delta({"type": "input_json_delta", "partial_json": delta.arguments}))

    def probe_chunk(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """A probed answer, in an event that clients ignore."""
        return _event("ping", probe=probe)

    def token_chunk(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """Nothing: token ids and ledger are in the last event."""
        self._fields = join_fields(self._fields, fields)
        return b""

    def final_chunk(
        self, index: int, finish_reason: str, budget: Mapping[str, Any], stop_string: str | None = None
    ) -> bytes:
        """The end of the last block."""
        self._end = _end(finish_reason, stop_string)
        self._fields = {"budget": budget, **self._fields}
        return self._stop()

    def last_chunk(self, counts: Mapping[str, Any]) -> bytes:
        """The stop reason, the usage, and the end."""
        delta = _event("message_delta", delta=self._end, usage=usage(counts), **self._fields)
        return delta + _event("message_stop")

    def error_chunk(self, error: Z1Error) -> bytes:
        """An error."""
        return named_event("error", messages_error(error_body(error), getattr(error, "status", 503)))

    def response_body(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """The whole message."""
        (choice,) = choices
        content: list[dict[str, Any]] = []
        if choice.reasoning:
            signature = self._sign(choice.reasoning)
            content.append({"type": "thinking", "thinking": choice.reasoning, "signature": signature})
        if choice.content:
            content.append({"type": "text", "text": choice.content})
        content += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _parsed(call.arguments)}
            for call in choice.tool_calls
        ]
        end = _end(choice.finish_reason, choice.stop_string)
        return {**self._message(content, end, usage(counts)), **choice.fields}

    def _message(self, content: list[dict[str, Any]], end: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
        head = {"id": self.id, "type": "message", "role": "assistant", "model": self.model}
        return {**head, "content": content, **end, "usage": usage}

    def _start(self, kind: str, block: dict[str, Any]) -> bytes:
        """Begin a block, unless one of its kind is open."""
        if self._open == kind:
            return b""
        stopped, self._open = self._stop(), kind
        self._count += 1
        return stopped + _event("content_block_start", index=self._count - 1, content_block={"type": kind, **block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._count - 1, delta=delta)

    def _stop(self) -> bytes:
        """End the open block; a thought gets its signature."""
        if not self._open:
            return b""
        signed = b""
        if self._open == "thinking":
            signed = self._delta({"type": "signature_delta", "signature": self._sign("".join(self._thought))})
            self._thought = []
        self._open = ""
        return signed + _event("content_block_stop", index=self._count - 1)


def _event(name: str, **fields: Any) -> bytes:
    return named_event(name, {"type": name, **fields})


def _end(finish_reason: str, stop_string: str | None) -> dict[str, Any]:
    reason = "stop_sequence" if stop_string is not None and finish_reason == "stop" else STOP_REASONS[finish_reason]
    return {"stop_reason": reason, "stop_sequence": stop_string if reason == "stop_sequence" else None}


def _parsed(arguments: str) -> dict[str, Any]:
    """The arguments of a call as an object; text that is none (the reply was cut inside) is its one member."""
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}


def usage(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The `usage` object, from that of chat completions."""
    return {
        "input_tokens": counts["prompt_tokens"],
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": {"thinking_tokens": counts["completion_tokens_details"]["reasoning_tokens"]},
    }
