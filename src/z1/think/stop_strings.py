"""Detection of stop strings in an answer.

Each token stands for some bytes, and a stop string may end inside a token. The detector gets the tokens of the answer
only, so a stop string in a thought ends nothing. The end of a forced hint may belong to the answer: a stop string in
it, or across its border, ends the answer as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from z1.errors import UserError


class StopStrings:
    """Finds the first stop string in a stream of answer tokens.

    `token_bytes(token)` gives the bytes of a token. Feeding tokens one by one or many at once gives the same result
    (*chunks*). `answer_part(bytes)` gives the end of a forced text that belongs to the answer (None: nothing does).
    """

    def __init__(
        self,
        strings: Iterable[bytes],
        token_bytes: Callable[[int], bytes],
        answer_part: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._strings = tuple(strings)
        if not all(self._strings):
            raise UserError("stop string", "an empty string", "give at least one character")
        self._token_bytes, self._answer_part = token_bytes, answer_part
        self._max_tail = max(map(len, self._strings), default=1) - 1
        self._tail = b""
        self._count = 0
        self.match_end: int | None = None

    def feed_forced(self, token_ids: Iterable[int]) -> bool:
        """Begin the answer with its part of a forced text; returns whether that completes a string."""
        if self._answer_part is not None:
            text = self._answer_part(b"".join(map(self._token_bytes, token_ids)))
            if any(string in text for string in self._strings):
                self.match_end = 0
            self._tail = text[max(0, len(text) - self._max_tail) :]
        return self.match_end is not None

    def feed(self, token_ids: Iterable[int]) -> int | None:
        """The number of tokens up to the one that completes a string, once it is known; it does not change after."""
        for token in token_ids:
            if self.match_end is None:
                self._count += 1
                text = self._tail + self._token_bytes(token)
                self.match_end = self._count if any(string in text for string in self._strings) else None
                self._tail = text[max(0, len(text) - self._max_tail) :]
        return self.match_end
