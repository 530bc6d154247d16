"""What can a client learn of a reply's single tokens?

Their ids, and how likely they were, where a request asks for them. They come beside the text: in a stream as chunks
without text, one a round. Ids are all of the reply, hint and stop included. Log-probabilities are of what is shown as
`content` and was drawn: a forced id has none, nor has a thought that stands in a field of its own, nor a stop.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from z1.engines import Score
from z1.serve.parts import Style
from z1.serve.room import Came
from z1.think import Bucket

LEAST = -9999.0
"""The logarithm of what cannot be; OpenAI's word for it, since JSON has none."""


class Token(NamedTuple):
    """A token that was drawn: the character of `content` at which it begins, its bytes, and how likely it was."""

    at: int
    data: bytes
    score: Score


Shape = Callable[[Sequence[Token], Callable[[int], bytes]], dict[str, Any]]
"""Tokens as a dialect has them in `logprobs`; the function gives the bytes of an id."""


class Tokens:
    """One reply's tokens. `take` hands out what came since it was last asked."""

    def __init__(self, style: Style, shape: Shape) -> None:
        self._style, self._shape = style, shape
        self._ids: list[int] = []
        self._tokens: list[Token] = []
        self._bucket: Bucket | None = None
        self._length = 0
        self._decode = _decoder()

    def came(self, event: Came) -> None:
        """These came."""
        if self._style.ids:
            self._ids += event.ids
        if self._style.logprobs and event.bucket is not Bucket.STOP:
            self._scored(event)

    def take(self) -> dict[str, Any]:
        """Fields of a choice; none where nothing came."""
        ids, self._ids = self._ids, []
        tokens, self._tokens = self._tokens, []
        fields: dict[str, Any] = {"token_ids": ids} if ids else {}
        return fields | ({"logprobs": self._shape(tokens, self._style.piece)} if tokens else {})

    def _scored(self, event: Came) -> None:
        if self._style.split and event.bucket is not Bucket.ANSWER:
            return
        if event.bucket is not self._bucket:  # half a character is shown as broken, and the next begins anew
            self._length += len(self._decode(b"", True))
            self._bucket, self._decode = event.bucket, _decoder()
        for place, token in enumerate(event.ids):
            data = self._style.piece(token)
            self._tokens += [Token(self._length, data, score) for score in event.scores[place : place + 1]]
            self._length += len(self._decode(data))


def _decoder() -> Callable[..., str]:
    return codecs.getincrementaldecoder("utf-8")("replace").decode


def of_chat(tokens: Sequence[Token], piece: Callable[[int], bytes]) -> dict[str, Any]:
    """As in a chat completion."""

    def one(data: bytes, logprob: float) -> dict[str, Any]:
        return {"token": _text(data), "logprob": max(LEAST, logprob), "bytes": list(data)}

    said = []
    for token in tokens:
        best = [one(piece(other), logprob) for other, logprob in token.score.top]
        said.append({**one(token.data, token.score.logprob), "top_logprobs": best})
    return {"content": said, "refusal": None}


def of_text(tokens: Sequence[Token], piece: Callable[[int], bytes]) -> dict[str, Any]:
    """As in a text completion."""
    return {
        "tokens": [_text(token.data) for token in tokens],
        "token_logprobs": [max(LEAST, token.score.logprob) for token in tokens],
        "top_logprobs": [{_text(piece(one)): max(LEAST, p) for one, p in token.score.top} for token in tokens],
        "text_offset": [token.at for token in tokens],
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
