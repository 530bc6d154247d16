"""Which text is sure, of ids that are still coming?

A character that is spread over ids waits until it is whole, and so does what may become a stop string. However the ids
are split on their way in, the pieces add up to the same text (*chunks*).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence

from z1.profiles import before
from z1.think.answer_detector import overlap


class Detokenizer:
    """The text of one run of ids; `piece(id)` gives the bytes of an id, and one of `strings` ends it."""

    def __init__(self, piece: Callable[[int], bytes], strings: Sequence[str] = ()) -> None:
        self._piece, self._strings = piece, strings
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self._over = False

    def came(self, ids: Iterable[int]) -> str:
        """What is sure now and was not before."""
        return self._sure(self._decode(b"".join(map(self._piece, ids))))

    def end(self) -> str:
        """What was held back, now that nothing more comes."""
        rest = self._sure(self._decode(b"", True)) + self._held
        self._held = ""
        return rest

    def _sure(self, text: str) -> str:
        if not self._strings:
            return text
        if self._over:
            return ""
        text = self._held + text
        whole = before(text, self._strings)
        self._over = whole != text
        keep = 0 if self._over else max(overlap(text, string) for string in self._strings)
        self._held = text[len(text) - keep :]
        return whole[: len(whole) - keep]
