"""The tokens of a proxied reply, read from the upstream's response while it passes.

A stream ends with its usage if the request asks for that. Where the client does not, z1 does, and takes the event out
of the stream again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from z1.serve.metrics import UsageCounts

MAX_BODY_BYTES = 4 << 20
"""Bytes of a whole response that is read; the usage of a longer one is unknown."""

MAX_TOKENS = 10**12
"""A number of tokens that no reply has."""

MAX_EVENT_BYTES = 1 << 20
"""Bytes of an event that is read; what is longer passes as it comes."""

_END = re.compile(rb"\r?\n\r?\n")


def ask_for_usage(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """A request whose stream ends with its usage, and whether z1 added that."""
    options = body.get("stream_options") or {}
    if body.get("stream") is not True or not isinstance(options, dict) or options.get("include_usage"):
        return body, False
    return {**body, "stream_options": {**options, "include_usage": True}}, True


class UsageReader:
    """Reads the usage of `body`'s response. `is_added`: z1 asked for it, so its event is not for the client."""

    def __init__(self, body: Mapping[str, Any], *, is_added: bool) -> None:
        count = body.get("n")
        self._replies = count if type(count) is int and 1 <= count <= MAX_TOKENS else 1
        self._is_added = is_added
        self._held = bytearray()
        self._usage: Mapping[str, Any] | None = None

    def read_event_bytes(self, chunk: bytes) -> bytes:
        """The events of a stream that are now complete and for the client."""
        passed, start = bytearray(), max(0, len(self._held) - 3)  # an end may have begun in the last chunk
        self._held += chunk
        while match := _END.search(self._held, start):
            event, start = bytes(self._held[: match.end()]), 0
            del self._held[: match.end()]
            passed += b"" if self._read(_data(event)) and self._is_added else event
        if len(self._held) > MAX_EVENT_BYTES:
            passed += self._held
            self._held.clear()
        return bytes(passed)

    def read_body_bytes(self, chunk: bytes) -> bytes:
        """`chunk`, a part of a whole response."""
        if len(self._held) <= MAX_BODY_BYTES:
            self._held += chunk
        return chunk

    def end(self, *, is_stream: bool) -> bytes:
        """What is left for the client at the end of the response."""
        rest, self._held = bytes(self._held), bytearray()
        if is_stream:
            return rest
        self._read(rest)
        return b""

    def counts(self) -> UsageCounts:
        """What the upstream said of the tokens."""
        if self._usage is None:
            return UsageCounts(self._replies, uncounted_replies=self._replies)
        prompt, completion = (_count(self._usage, name) for name in ("prompt_tokens", "completion_tokens"))
        details = self._usage.get("completion_tokens_details")
        thinking = min(completion, _count(details, "reasoning_tokens") if isinstance(details, dict) else 0)
        return UsageCounts(self._replies, prompt, thinking, answer_tokens=completion - thinking)

    def _read(self, data: bytes) -> bool:
        """Take the usage out of a response or event; returns whether it has no choice beside."""
        if b'"usage"' not in data:
            return False
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return False
        if not isinstance(value, dict) or not isinstance(value.get("usage"), dict):
            return False
        self._usage = value["usage"]
        return not value.get("choices")


def _data(event: bytes) -> bytes:
    """The data of an event."""
    return b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))


def _count(usage: Mapping[str, Any], name: str) -> int:
    count = usage.get(name)
    return count if type(count) is int and 0 <= count < MAX_TOKENS else 0
