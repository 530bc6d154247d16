"""How do a reply's pieces stand on the wire?

Two dialects of OpenAI's API: chat and text completions, whole and in chunks. A chunk is put together from a frame that
is made once a reply, so that an event costs one string. `reasoning_content` and `reasoning` say the same, since half of
all clients look for each. Source: the types of the openai package 3.52.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from typing import Any, Protocol

from z1.errors import UserError, Z1Error
from z1.serve.api.logprobs import Shape, of_chat, of_text
from z1.serve.api.reply_text import TextDelta
from z1.think import Ledger

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Choice:
    """A reply that has ended: its text by field, how it ended, and what else its choice says."""

    reasoning: str
    content: str
    finish: str
    said: Mapping[str, Any]


dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""JSON in one line, with no space to spare."""


def usage(prompt_tokens: int, ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """OpenAI's account of a request: `completion_tokens` holds the reasoning tokens."""
    completion = sum(ledger.completion_tokens for ledger in ledgers)
    reasoning = sum(ledger.reasoning_tokens for ledger in ledgers)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def error(fault: Z1Error | str, kind: str = "", param: str | None = None) -> dict[str, Any]:
    """OpenAI's shape of an error."""
    said = kind or ("invalid_request_error" if isinstance(fault, UserError) else "engine_error")
    return {"error": {"message": str(fault), "type": said, "param": param, "code": None}}


def event(value: Any) -> bytes:
    """One server-sent event."""
    return f"data: {dumps(value)}\n\n".encode()


class WireFormat(Protocol):
    """One way to say it. `index` is a choice's place, `id` the reply's name."""

    id: str

    @property
    def logprobs(self) -> Shape:
        """The shape of log-probabilities."""
        ...

    def open(self, index: int) -> bytes:
        """What a stream says before the first piece."""
        ...

    def piece(self, index: int, piece: TextDelta) -> bytes:
        """A piece of text."""
        ...

    def probe(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """What would be answered by now, in a chunk without text."""
        ...

    def tokens(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """What is known of tokens, in a chunk without text."""
        ...

    def close(self, index: int, finish: str, budget: Mapping[str, Any]) -> bytes:
        """What a stream says when a choice has ended."""
        ...

    def usage(self, counts: Mapping[str, Any]) -> bytes:
        """A stream's last chunk."""
        ...

    def whole(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """The reply in one piece."""
        ...


class _ChunkTemplate:
    """What the dialects have in common: a chunk's beginning and its ends."""

    prefix, whole_kind, chunk_kind = "", "", ""

    def __init__(self, request: str, model: str, *, counts: bool = False) -> None:
        self.id = f"{self.prefix}-{request}"
        self._head = {"id": self.id, "created": int(time.time()), "model": model}
        self._frame = dumps({**self._head, "object": self.chunk_kind})[:-1] + ',"choices":['
        self._tail = '],"usage":null}\n\n' if counts else "]}\n\n"

    def _chunk(self, choice: str) -> bytes:
        return f"data: {self._frame}{choice}{self._tail}".encode()

    def usage(self, counts: Mapping[str, Any]) -> bytes:
        """A stream's last chunk."""
        return f'data: {self._frame}],"usage":{dumps(counts)}}}\n\n'.encode()

    def _whole(self, choices: list[dict[str, Any]], counts: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._head, "object": self.whole_kind, "choices": choices, "usage": counts}


class ChatFormat(_ChunkTemplate):
    """/v1/chat/completions."""

    prefix, whole_kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"
    logprobs = staticmethod(of_chat)

    def open(self, index: int) -> bytes:
        """The role."""
        return self._delta(index, '{"role":"assistant","content":""}')

    def piece(self, index: int, piece: TextDelta) -> bytes:
        """A piece of reasoning or of content."""
        text = quoted(piece[1])
        if piece[0] == "content":
            return self._delta(index, f'{{"content":{text}}}')
        return self._delta(index, f'{{"reasoning_content":{text},"reasoning":{text}}}')

    def probe(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """What would be answered by now."""
        return self._beside(index, {"probe": probe})

    def tokens(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """What is known of tokens."""
        return self._beside(index, fields)

    def close(self, index: int, finish: str, budget: Mapping[str, Any]) -> bytes:
        """Why it ended, and the account."""
        ending = f'"delta":{{}},"logprobs":null,"finish_reason":"{finish}","budget":{dumps(budget)}'
        return self._chunk(f'{{"index":{index},{ending}}}')

    def whole(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """A chat completion."""
        said = [{"index": index, **self._message(choice)} for index, choice in enumerate(choices)]
        return self._whole(said, counts)

    def _beside(self, index: int, fields: Mapping[str, Any]) -> bytes:
        return self._chunk(dumps({"index": index, "delta": {}, "logprobs": None, "finish_reason": None, **fields}))

    def _delta(self, index: int, delta: str) -> bytes:
        return self._chunk(f'{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":null}}')

    def _message(self, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.content}
        if choice.reasoning:
            message |= {"reasoning_content": choice.reasoning, "reasoning": choice.reasoning}
        return {"message": message, "logprobs": None, "finish_reason": choice.finish, **choice.said}


class CompletionFormat(_ChunkTemplate):
    """/v1/completions."""

    prefix, whole_kind, chunk_kind = "cmpl", "text_completion", "text_completion"
    logprobs = staticmethod(of_text)

    def open(self, index: int) -> bytes:
        """Nothing is said before the first piece."""
        return b""

    def piece(self, index: int, piece: TextDelta) -> bytes:
        """A piece of text."""
        return self._text(index, quoted(piece[1]), '"finish_reason":null')

    def probe(self, index: int, probe: Mapping[str, Any]) -> bytes:
        """What would be answered by now."""
        return self._beside(index, {"probe": probe})

    def tokens(self, index: int, fields: Mapping[str, Any]) -> bytes:
        """What is known of tokens."""
        return self._beside(index, fields)

    def close(self, index: int, finish: str, budget: Mapping[str, Any]) -> bytes:
        """Why it ended, and the account."""
        return self._text(index, '""', f'"finish_reason":"{finish}","budget":{dumps(budget)}')

    def whole(self, choices: Sequence[Choice], counts: Mapping[str, Any]) -> dict[str, Any]:
        """A text completion."""
        said = [
            {"index": index, "text": choice.content, "logprobs": None, "finish_reason": choice.finish, **choice.said}
            for index, choice in enumerate(choices)
        ]
        return self._whole(said, counts)

    def _beside(self, index: int, fields: Mapping[str, Any]) -> bytes:
        return self._chunk(dumps({"index": index, "text": "", "logprobs": None, "finish_reason": None, **fields}))

    def _text(self, index: int, text: str, ending: str) -> bytes:
        return self._chunk(f'{{"index":{index},"text":{text},"logprobs":null,{ending}}}')
