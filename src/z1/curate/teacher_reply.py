"""Teacher replies: reads a chat completion of any OpenAI-compatible server.

Whatever the server was paid for is a reply: an answer, a thought alone, a refusal, an empty text. Only a body from
which nothing can be read is a fault. Content may be a text or a list of parts; a thought may be in `reasoning_content`,
`reasoning`, `reasoning_details` or parts of its own. Missing token counts stay unknown: the plan's tokenizer counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from z1.curate.finish_reasons import REFUSAL, finish_reason
from z1.curate.teacher_log import TeacherReply
from z1.surrogates import replace_surrogates

THOUGHT_KEYS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Keys of a message that may hold its thought."""

_PART_KEYS = ("text", "thinking", "reasoning", "summary", "content")
_THOUGHT_PARTS = frozenset({"thinking", "reasoning", "thought"})
"""Types of parts, or keys in them, that mark a thought (Mistral's and Anthropic's parts)."""


def parse(key: str, body: bytes) -> TeacherReply:
    """The reply in a chat completion. Raises ValueError, TypeError, KeyError, IndexError or AttributeError if it has no
    message.
    """
    value = json.loads(body)
    choice, usage = value["choices"][0], value.get("usage")
    message = choice["message"]
    beside = next(filter(None, (_text(message.get(name)) for name in THOUGHT_KEYS)), "")
    inside, text = _split_content(message.get("content"))
    end = finish_reason(choice.get("finish_reason"))
    if not text and (refusal := _text(message.get("refusal"))):
        text, end = refusal, REFUSAL
    counts = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    return TeacherReply(key, replace_surrogates(text), replace_surrogates(beside or inside), end, *counts)


def _split_content(content: Any) -> tuple[str, str]:
    """The thought and the text of a message's content."""
    if not isinstance(content, list):
        return "", _text(content)
    is_thought = [
        isinstance(part, Mapping) and not _THOUGHT_PARTS.isdisjoint({part.get("type"), *part}) for part in content
    ]
    thought = [part for part, is_in in zip(content, is_thought, strict=True) if is_in]
    text = [part for part, is_in in zip(content, is_thought, strict=True) if not is_in]
    return _text(thought), _text(text)


def _text(value: Any) -> str:
    """The text in a text, in a list of parts, or in one part; "" in anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, Mapping):
        return next(filter(None, (_text(value.get(name)) for name in _PART_KEYS)), "")
    return ""


def _count(usage: Any, name: str) -> int | None:
    """A token count; None if the server gives none that makes sense."""
    value = usage.get(name) if isinstance(usage, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        return None
    return int(value)
