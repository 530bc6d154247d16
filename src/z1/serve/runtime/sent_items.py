"""The items of responses that the server sent, by id, so that a client may name one instead of sending it again.

They are in memory, apart for each API key, and only for a while: each until `ttl` seconds after it was last sent or
named, and at most `MAX_BYTES` of a key, of which the oldest go first. Whose item is gone has to send it.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from z1.serve.api.openai_format import to_json

MAX_BYTES = 16 << 20
"""Bytes of the items of one API key."""


class _Item(NamedTuple):
    expires: float
    text: bytes


class SentItems:
    """The items that can be named, each for `ttl` seconds after its last use; with 0 there are none."""

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic, max_bytes: int = MAX_BYTES) -> None:
        self.ttl, self._clock, self._max_bytes = ttl, clock, max_bytes
        self._items: dict[str, OrderedDict[str, _Item]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, key: str, items: Iterable[Mapping[str, Any]]) -> None:
        """Keep items of a response to the API key `key`; those of any key that have expired are dropped."""
        for each in list(self._items):
            self._drop_old(each)
        for item in items:
            self._put(key, item["id"], to_json(item).encode())

    def find(self, key: str, item_id: str) -> Any:
        """The item that was sent to `key` under this id; None if it is gone, or never was."""
        self._drop_old(key)
        if (text := self._pop(key, item_id)) is None:
            return None
        self._put(key, item_id, text)
        return json.loads(text)

    def size(self, key: str) -> int:
        """Bytes of the items of a key."""
        return self._sizes.get(key, 0)

    def _put(self, key: str, item_id: str, text: bytes) -> None:
        self._items.setdefault(key, OrderedDict())[item_id] = _Item(self._clock() + self.ttl, text)
        self._sizes[key] = self.size(key) + len(text)
        self._drop_old(key)

    def _pop(self, key: str, item_id: str) -> bytes | None:
        item = self._items.get(key, OrderedDict()).pop(item_id, None)
        if item is None:
            return None
        self._sizes[key] -= len(item.text)
        return item.text

    def _drop_old(self, key: str) -> None:
        """Drop what has expired, and the oldest until the rest fits; items are in the order of their last use."""
        items, now = self._items.get(key, OrderedDict()), self._clock()
        while items:
            item_id, item = next(iter(items.items()))
            if item.expires > now and self.size(key) <= self._max_bytes:
                return
            self._pop(key, item_id)
        self._items.pop(key, None)
        self._sizes.pop(key, None)
