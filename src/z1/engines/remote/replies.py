"""What upstreams send: the choice in an event, and why it ended.

Servers differ: events without choices, `null` for what is missing, parts for a text, and twenty words for the end of a
reply. What cannot be read is a fault in one line; what came is never dropped for the word that ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from z1.errors import EngineFault


class Ending(Enum):
    """How an upstream says that a reply ended."""

    STOP = "stop"
    """The model ended it, or the upstream did: nothing follows."""
    LENGTH = "length"
    """The maximum was reached."""
    UNCLEAR = "unclear"
    """An empty word: the end only if nothing follows; some servers send it in every event."""


LENGTH_WORDS = frozenset({"length", "max_tokens", "max_length", "max_new_tokens", "model_length", "limit"})
"""Words for a reply that reached the maximum, in lower case."""

FAILURE_WORDS = frozenset({"error", "failed", "abort", "aborted", "cancelled", "canceled", "engine_error"})
"""Words for a reply that failed. Every other word ends a reply: stop, eos, eos_token, end_turn, content_filter, ..."""

TEXT_LIMIT = 1 << 20
"""The longest text of one event, in characters."""


class ToolPiece(NamedTuple):
    """A part of tool call number `call`: its id and name, which come once, and more of its arguments."""

    call: int
    id: str
    name: str
    arguments: str


class Piece(NamedTuple):
    """A part of a reply: text of the answer or of all, text of a thought sent by itself, token ids, the ending, and
    parts of tool calls.
    """

    text: str = ""
    reasoning: str = ""
    token_ids: tuple[int, ...] = ()
    ending: Ending | None = None
    tools: tuple[ToolPiece, ...] = ()


def read_pieces(event: Mapping[str, Any], vocabulary: int | None) -> Iterator[Piece]:
    """The pieces of the first choice in an event; none if it has no choices, as usage and metadata have.

    `vocabulary`: the number of token ids. Raises EngineFault.
    """
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index") in (None, 0):
            delta = next((choice[name] for name in ("delta", "message") if isinstance(choice.get(name), dict)), choice)
            text = _text(delta.get("content")) or _text(choice.get("text"))
            reasoning = next(filter(None, (_text(delta.get(n)) for n in ("reasoning_content", "reasoning"))), "")
            ids = _token_ids(choice.get("token_ids"), vocabulary)
            ending = read_ending(choice.get("finish_reason"))
            yield Piece(text, reasoning, ids, ending, tuple(_tools(delta.get("tool_calls"))))


def read_ending(word: Any) -> Ending | None:
    """What a `finish_reason` says; None: the reply goes on. Raises EngineFault if the reply failed."""
    if word is None:
        return None
    if not isinstance(word, str):
        raise EngineFault(f"the upstream sent {type(word).__name__} as finish_reason")
    word = word.strip().lower()
    if word in FAILURE_WORDS:
        raise EngineFault(f"the upstream ended the reply with {word!r}")
    if not word:
        return Ending.UNCLEAR
    return Ending.LENGTH if word in LENGTH_WORDS else Ending.STOP


def _tools(calls: Any) -> Iterator[ToolPiece]:
    """The parts of tool calls in a delta. Raises EngineFault."""
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        index = call.get("index", number) if isinstance(call, dict) else None
        if type(index) is not int or not isinstance(function, dict):
            raise EngineFault("the upstream sent a tool call that is none of OpenAI's")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # some servers do not encode them
            arguments = json.dumps(arguments, ensure_ascii=False)
        yield ToolPiece(index, _text(call.get("id")), _text(function.get("name")), _text(arguments))


def _text(value: Any) -> str:
    """The text of a field: a string, parts with texts, or nothing."""
    if isinstance(value, list):
        value = "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    if value is None:
        return ""
    if not isinstance(value, str):
        raise EngineFault(f"the upstream sent {type(value).__name__} as text")
    if len(value) > TEXT_LIMIT:
        raise EngineFault(f"the upstream sent a text of {len(value)} characters")
    return value


def _token_ids(value: Any, vocabulary: int | None) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise EngineFault(f"the upstream sent {type(value).__name__} as token_ids")
    for token in value:
        if type(token) is not int or token < 0 or (vocabulary is not None and token >= vocabulary):
            raise EngineFault(f"the upstream sent {str(token)[:40]!r} as a token id; does MODEL name its model?")
    return tuple(value)
