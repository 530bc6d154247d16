"""Detection of the answer's start in a model without think tags.

Each token stands for some bytes, and the answer starts at the token with the first byte of a marker. The result is used
only to avoid interrupting an answer. `profiles.py` says which families have markers; most have none, because in real R1
traces "final answer" occurs inside the thought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import AnyStr


class AnswerDetector:
    """Finds the start of the answer in a stream of tokens.

    `token_bytes(token)` gives the bytes of a token. The first `start` tokens are skipped. Feeding tokens one by one or
    many at once gives the same result (*chunks*).
    """

    def __init__(self, markers: Iterable[bytes], token_bytes: Callable[[int], bytes], start: int = 0) -> None:
        self._markers = tuple(marker for marker in markers if marker)
        self._token_bytes, self._start = token_bytes, start
        self._tail = b""
        self._owners: list[int] = []
        self._count = 0
        self.answer_start: int | None = None

    def feed(self, token_ids: Iterable[int]) -> int | None:
        """The index in the reply at which the answer starts, once it is known; it does not change after that."""
        for token in token_ids:
            if self.answer_start is None:
                self._push(token)
        return self.answer_start

    @property
    def undecided_tokens(self) -> int:
        """The number of last tokens that may belong to the start of an answer."""
        if self.answer_start is not None or not self._owners:
            return 0
        return self._count - self._owners[0]

    def _push(self, token: int) -> None:
        data = self._token_bytes(token) if self._count >= self._start else b""
        self._tail += data
        self._owners += [self._count] * len(data)
        self._count += 1
        found = [at for at in (self._tail.find(marker) for marker in self._markers) if at >= 0]
        if found:
            self.answer_start = self._owners[min(found)]
            return
        kept = max((overlap(self._tail, marker) for marker in self._markers), default=0)
        self._tail = self._tail[len(self._tail) - kept :]
        self._owners = self._owners[len(self._owners) - kept :]


def overlap(text: AnyStr, marker: AnyStr) -> int:
    """Length of the longest suffix of `text` that is a proper prefix of `marker`."""
    return next(n for n in range(min(len(text), len(marker) - 1), -1, -1) if text.endswith(marker[:n]))
