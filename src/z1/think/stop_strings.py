"""Is a stop string complete?

A pure detector over the ids of an answer: each id stands for some bytes, and a string may end inside an id. It never
sees the thought, so that a string that stands in a thought ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from z1.errors import UserError


class StopStrings:
    """Told each id of the answer once, in order; says with how many ids a stop string is complete.

    `piece(id)` gives the bytes of an id. Feeding ids one by one or many at once says the same (*chunks*).
    """

    def __init__(self, strings: Iterable[bytes], piece: Callable[[int], bytes]) -> None:
        self._strings = tuple(strings)
        if not all(self._strings):
            raise UserError("stop string", "an empty one", "give at least one character")
        self._piece = piece
        self._keep = max(map(len, self._strings), default=1) - 1
        self._tail = b""
        self._count = 0
        self.complete: int | None = None

    def feed(self, ids: Iterable[int]) -> int | None:
        """The number of ids up to the one that completes a string, once that is known; then it stays."""
        for token in ids:
            if self.complete is None:
                self._count += 1
                text = self._tail + self._piece(token)
                self.complete = self._count if any(string in text for string in self._strings) else None
                self._tail = text[max(0, len(text) - self._keep) :]
        return self.complete
