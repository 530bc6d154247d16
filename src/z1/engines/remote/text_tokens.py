"""Text that arrives in pieces, as tokens of the model's tokenizer.

An upstream without token ids sends text, usually one token a piece. Every piece is encoded as it arrives, in the
context of the tokens before it, so that tokens appear at once and never change; where pieces end between tokens, they
are the tokens of the whole text. A closing think tag and stop tokens keep their own token ids however they are split:
text that may become one is held back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from z1.profiles import Tokenizer, decode
from z1.surrogates import replace_surrogates
from z1.think.answer_detector import overlap

CONTEXT_TOKENS = 8
"""Tokens before a piece that are encoded with it."""


class TextTokens:
    """Turns pieces of text into tokens, whose texts join to the text.

    `token_bytes` gives the bytes of a token, `controls` are texts with token ids of their own, `before` are the tokens
    before the text. Half of a character of UTF-16 is held back too; if it stays alone, it becomes U+FFFD.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        token_bytes: Callable[[int], bytes],
        controls: Collection[str] = (),
        before: Sequence[int] = (),
    ) -> None:
        self._tokenizer, self._bytes = tokenizer, token_bytes
        self._controls = [control for control in controls if control]
        longest_first = sorted(self._controls, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if longest_first else None
        self._held = ""
        self._recent = list(before[-CONTEXT_TOKENS:])

    def feed(self, text: str) -> list[int]:
        """The new tokens after more text."""
        text = self._held + text
        held = max((overlap(text, control) for control in self._controls), default=0)
        if not held and text and "\ud800" <= text[-1] <= "\udbff":
            held = 1
        self._held = text[len(text) - held :]
        return self._encode(text[: len(text) - held])

    def flush(self) -> list[int]:
        """The tokens of the text that was held back; no text follows."""
        text, self._held = self._held, ""
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        text = replace_surrogates(text)
        token_ids: list[int] = []
        for part in self._split.split(text) if self._split else [text]:
            if part in self._controls:
                token_ids += self._tokenizer.encode(part, add_special_tokens=False)
                self._recent = []
            elif part:
                new = self._after_recent(part)
                token_ids += new
                self._recent = [*self._recent, *new][-CONTEXT_TOKENS:]
        return token_ids

    def _after_recent(self, text: str) -> Sequence[int]:
        """The tokens of `text` after the recent ones; alone, if the recent ones would change."""
        expected = text.encode()
        found: list[Sequence[int]] = []
        for before in (self._recent, [], self._tokenizer.encode("a", add_special_tokens=False)):
            lead = decode(self._tokenizer, before) if before else ""
            token_ids = self._tokenizer.encode(lead + text, add_special_tokens=False)
            if token_ids[: len(before)] == before:
                found.append(token_ids[len(before) :])
                if b"".join(map(self._bytes, found[-1])) == expected:
                    return found[-1]
        return found[0]
