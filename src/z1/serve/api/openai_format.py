"""OpenAI's wire format: chat and text completions, whole and as chunks.

A chunk is built from a template that is made once per reply, so that an event costs one string. `reasoning_content` and
`reasoning` have the same text, since about half of all clients read each. Source: the types of the openai package 3.52.

An event is one line for every client: the three line breaks that JSON allows inside a string are escaped, since many
clients split a stream at all of Unicode's line breaks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as quote
from typing import Any, Protocol

from z1.errors import UserError, Z1Error
from z1.serve.api.logprobs import LogprobFormat, chat_logprobs, completion_logprobs
from z1.serve.api.reply_text import TextDelta, ToolCall, ToolDelta
from z1.surrogates import replace_surrogates
from z1.think import Ledger

DONE = b"data: [DONE]\n\n"

COMMENT = b": z1 is working\n\n"
"""A server-sent event that clients ignore; it shows proxies that the stream is alive."""

LINE_BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Line breaks that JSON does not escape, and their escapes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A finished reply: its text by field, its finish reason, more fields of its choice, its tool calls, and the stop
    string that ended it.
    """

    reasoning: str
    content: str
    finish_reason: str
    fields: Mapping[str, Any]
    tool_calls: Sequence[ToolCall] = ()
    stop_string: str | None = None


to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Compact JSON on one line."""


def usage(prompt_tokens: int, ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """The `usage` object of a request; `completion_tokens` includes the reasoning tokens."""
    completion = sum(ledger.completion_tokens for ledger in ledgers)
    reasoning = sum(ledger.reasoning_tokens for ledger in ledgers)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def error_body(
    error: Z1Error | str, kind: str = "", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """An error in OpenAI's format; `kind` is its `type`."""
    kind = kind or ("invalid_request_error" if isinstance(error, UserError) else getattr(error, "kind", "engine_error"))
    code = code or getattr(error, "code", None)
    message, param = replace_surrogates(str(error)), param and replace_surrogates(param)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def sse_event(value: Any) -> bytes:
    """One server-sent event."""
    return _event(f"data: {to_json(value)}\n\n")


def named_event(name: str, value: Any) -> bytes:
    """One server-sent event with a name."""
    return _event(f"event: {name}\ndata: {to_json(value)}\n\n")


def _event(text: str) -> bytes:
    """The bytes of an event whose JSON may have raw line breaks in its strings."""
    return (text if text.isascii() else text.translate(LINE_BREAKS)).encode()


class WireFormat(Protocol):
    """The response format of one route. `index` is the number of a choice; `id` and `model` are the response's.

    `id_prefix` is what `id` has before the request's id; `keep_alive` is what an idle stream sends.
    """

    id: str
    model: str
    id_prefix: str
    keep_alive: bytes

    @property
    def format_logprobs(self) -> LogprobFormat:
        """Formats the field `logprobs`."""
        ...

    def first_chunk(self, index: int) -> bytes:
        """The first chunk of a choice, before any text."""
        ...

    def text_chunk(self, index: int, delta: TextDelta) -> bytes:
        """A text delta."""
        ...

    def tool_chunk(self, index: int, delta: ToolDelta) -> bytes:
        """The head of a tool call, or more of its arguments."""
        ...

    def probe_chunk(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """A probed answer, in a chunk without text."""
        ...

    def token_chunk(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """Token ids and log-probabilities, in a chunk without text."""
        ...

    def final_chunk(
        self, index: int, finish_reason: str, budget: Mapping[str, Any], stop_string: str | None = None
    ) -> bytes:
        """The last chunk of a choice."""
        ...

    def last_chunk(self, counts: Mapping[str, Any]) -> bytes:
        """The end of a stream; `counts` is the `usage` object."""
        ...

    def error_chunk(self, error: Z1Error) -> bytes:
        """The end of a stream that failed."""
        ...

    def response_body(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """The whole response."""
        ...


class _ChunkTemplate:
    """What both formats share: the response id, and the constant parts of a chunk."""

    id_prefix, response_object, chunk_object = "", "", ""
    keep_alive = COMMENT

    def __init__(self, request_id: str, model: str, *, include_usage: bool = False) -> None:
        self.id, self.model = self.id_prefix + request_id, model
        self._head = {"id": self.id, "created": int(time.time()), "model": model}
        self._prefix = to_json({**self._head, "object": self.chunk_object})[:-1] + ',"choices":['
        self._suffix = '],"usage":null}\n\n' if include_usage else "]}\n\n"
        self._include_usage = include_usage

    def _chunk(self, choice: str) -> bytes:
        return _event(f"data: {self._prefix}{choice}{self._suffix}")

    def usage_chunk(self, counts: Mapping[str, Any]) -> bytes:
        """The last chunk of a stream, with the `usage` object."""
        return _event(f'data: {self._prefix}],"usage":{to_json(counts)}}}\n\n')

    def last_chunk(self, counts: Mapping[str, Any]) -> bytes:
        """The usage, if the request includes it, and [DONE]."""
        return (self.usage_chunk(counts) if self._include_usage else b"") + DONE

    def error_chunk(self, error: Z1Error) -> bytes:
        """An error, and [DONE]."""
        return sse_event(error_body(error)) + DONE

    def _response(self, choices: list[dict[str, Any]], counts: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._head, "object": self.response_object, "choices": choices, "usage": counts}


class ChatFormat(_ChunkTemplate):
    """The format of /v1/chat/completions."""

    id_prefix, response_object, chunk_object = "chatcmpl-", "chat.completion", "chat.completion.chunk"
    format_logprobs = staticmethod(chat_logprobs)

    def first_chunk(self, index: int) -> bytes:
        """The role."""
        return self._delta(index, '{"role":"assistant","content":""}')

    def text_chunk(self, index: int, delta: TextDelta) -> bytes:
        """A delta of reasoning or content."""
        field, text = delta[0], quote(delta[1])
        if field == "content":
            return self._delta(index, f'{{"content":{text}}}')
        return self._delta(index, f'{{"reasoning_content":{text},"reasoning":{text}}}')

    def tool_chunk(self, index: int, delta: ToolDelta) -> bytes:
        """The head of a tool call, or more of its arguments."""
        head = {"id": delta.id, "type": "function"} if delta.name else {}
        function = {"name": delta.name} if delta.name else {}
        call = {"index": delta.call, **head, "function": {**function, "arguments": delta.arguments}}
        return self._delta(index, to_json({"tool_calls": [call]}))

    def probe_chunk(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """A probed answer."""
        return self._without_text(index, {"probe": probe})

    def token_chunk(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """Token ids and log-probabilities."""
        return self._without_text(index, fields)

    def final_chunk(
        self, index: int, finish_reason: str, budget: Mapping[str, Any], stop_string: str | None = None
    ) -> bytes:
        """The finish reason and the `budget` object."""
        rest = f'"delta":{{}},"logprobs":null,"finish_reason":"{finish_reason}","budget":{to_json(budget)}'
        return self._chunk(f'{{"index":{index},{rest}}}')

    def response_body(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """A chat completion."""
        return self._response([{"index": n, **self._choice(one)} for n, one in enumerate(choices)], counts)

    def _without_text(self, index: int, fields: Mapping[str, Any]) -> bytes:
        return self._chunk(to_json({"index": index, "delta": {}, "logprobs": None, "finish_reason": None, **fields}))

    def _delta(self, index: int, delta: str) -> bytes:
        return self._chunk(f'{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":null}}')

    def _choice(self, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.content}
        if choice.reasoning:
            message |= {"reasoning_content": choice.reasoning, "reasoning": choice.reasoning}
        if choice.tool_calls:
            message |= {"content": choice.content or None, "tool_calls": [_tool_call(one) for one in choice.tool_calls]}
        return {"message": message, "logprobs": None, "finish_reason": choice.finish_reason, **choice.fields}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class CompletionFormat(_ChunkTemplate):
    """The format of /v1/completions."""

    id_prefix, response_object, chunk_object = "cmpl-", "text_completion", "text_completion"
    format_logprobs = staticmethod(completion_logprobs)

    def first_chunk(self, index: int) -> bytes:
        """Empty: a text completion has no chunk before its text."""
        return b""

    def text_chunk(self, index: int, delta: TextDelta) -> bytes:
        """A text delta."""
        return self._text(index, quote(delta[1]), '"finish_reason":null')

    def tool_chunk(self, index: int, delta: ToolDelta) -> bytes:
        """Empty: a text completion has no tools."""
        return b""

    def probe_chunk(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """A probed answer."""
        return self._without_text(index, {"probe": probe})

    def token_chunk(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """Token ids and log-probabilities."""
        return self._without_text(index, fields)

    def final_chunk(
        self, index: int, finish_reason: str, budget: Mapping[str, Any], stop_string: str | None = None
    ) -> bytes:
        """The finish reason and the `budget` object."""
        return self._text(index, '""', f'"finish_reason":"{finish_reason}","budget":{to_json(budget)}')

    def response_body(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """A text completion."""
        return self._response([{"index": n, **self._choice(one)} for n, one in enumerate(choices)], counts)

    def _without_text(self, index: int, fields: Mapping[str, Any]) -> bytes:
        return self._chunk(to_json({"index": index, "text": "", "logprobs": None, "finish_reason": None, **fields}))

    def _text(self, index: int, text: str, rest: str) -> bytes:
        return self._chunk(f'{{"index":{index},"text":{text},"logprobs":null,{rest}}}')

    def _choice(self, choice: Choice) -> dict[str, Any]:
        return {"text": choice.content, "logprobs": None, "finish_reason": choice.finish_reason, **choice.fields}
