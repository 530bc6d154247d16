"""Has the answer begun, in a model that does not fence its thoughts?

A pure detector over the ids so far: each id stands for some bytes, and the answer begins at the id in which the first
byte of a marker stands. It is used only to *not interrupt* an answer; which profiles have markers, and how exact they
are, is `chat.py`'s business (in real R1 traces "final answer" stands inside the thought, so most profiles have none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import AnyStr


class AnswerDetector:
    """Told each id once, in order; says where the answer begins.

    `piece(id)` gives the bytes of an id. The first `start` ids are not looked at. Feeding ids one by one or many at
    once gives the same index (*chunks*).
    """

    def __init__(self, markers: Iterable[bytes], piece: Callable[[int], bytes], start: int = 0) -> None:
        self._markers = tuple(marker for marker in markers if marker)
        self._piece, self._start = piece, start
        self._tail = b""
        self._owners: list[int] = []
        self._count = 0
        self.begins_at: int | None = None

    def feed(self, ids: Iterable[int]) -> int | None:
        """The index in the reply at which the answer begins, once that is known; then it stays."""
        for token in ids:
            if self.begins_at is None:
                self._push(token)
        return self.begins_at

    @property
    def undecided(self) -> int:
        """How many of the last ids may yet turn out to be the beginning of an answer."""
        if self.begins_at is not None or not self._owners:
            return 0
        return self._count - self._owners[0]

    def _push(self, token: int) -> None:
        data = self._piece(token) if self._count >= self._start else b""
        self._tail += data
        self._owners += [self._count] * len(data)
        self._count += 1
        found = [at for at in (self._tail.find(marker) for marker in self._markers) if at >= 0]
        if found:
            self.begins_at = self._owners[min(found)]
            return
        keep = max((overlap(self._tail, marker) for marker in self._markers), default=0)
        self._tail = self._tail[len(self._tail) - keep :]
        self._owners = self._owners[len(self._owners) - keep :]


def overlap(text: AnyStr, marker: AnyStr) -> int:
    """Length of the longest end of `text` with which `marker` begins and does not end."""
    return next(n for n in range(min(len(text), len(marker) - 1), -1, -1) if text.endswith(marker[:n]))
