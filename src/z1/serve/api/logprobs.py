"""What can a client learn of a reply's single tokens?

Their ids, and how likely they were, where a request asks for them. They come beside the text: in a stream as chunks
without text, one a round. Ids are all of the reply, hint and stop included. Log-probabilities are of what is shown as
`content` and was drawn: a forced id has none, nor has a thought that stands in a field of its own, nor a stop.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from z1.engines import Logprob
from z1.serve.api.reply_text import OutputOptions
from z1.serve.runtime.reply_runner import NewTokens
from z1.think import Bucket

LEAST = -9999.0
"""The logarithm of what cannot be; OpenAI's word for it, since JSON has none."""


class TokenLogprob(NamedTuple):
    """A token that was drawn: the character of `content` at which it begins, its bytes, and how likely it was."""

    at: int
    data: bytes
    score: Logprob


Shape = Callable[[Sequence[TokenLogprob], Callable[[int], bytes]], dict[str, Any]]
"""Tokens as a dialect has them in `logprobs`; the function gives the bytes of an id."""


class TokenRecord:
    """One reply's tokens. `take` hands out what came since it was last asked."""

    def __init__(self, style: OutputOptions, shape: Shape) -> None:
        self._style, self._shape = style, shape
        self._ids: list[int] = []
        self._tokens: list[TokenLogprob] = []
        self._bucket: Bucket | None = None
        self._length = 0
        self._decode = _decoder()

    def came(self, event: NewTokens) -> None:
        """These came."""
        if self._style.token_ids:
            self._ids += event.token_ids
        if self._style.logprobs and event.bucket is not Bucket.STOP:
            self._scored(event)

    def take(self) -> dict[str, Any]:
        """Fields of a choice; none where nothing came."""
        ids, self._ids = self._ids, []
        tokens, self._tokens = self._tokens, []
        fields: dict[str, Any] = {"token_ids": ids} if ids else {}
        return fields | ({"logprobs": self._shape(tokens, self._style.piece)} if tokens else {})

    def _scored(self, event: NewTokens) -> None:
        if self._style.split and event.bucket is not Bucket.ANSWER:
            return
        if event.bucket is not self._bucket:  # half a character is shown as broken, and the next begins anew
            self._length += len(self._decode(b"", True))
            self._bucket, self._decode = event.bucket, _decoder()
        for place, token in enumerate(event.token_ids):
            data = self._style.piece(token)
            self._tokens += [TokenLogprob(self._length, data, score) for score in event.logprobs[place : place + 1]]
            self._length += len(self._decode(data))


def _decoder() -> Callable[..., str]:
    return codecs.getincrementaldecoder("utf-8")("replace").decode


def of_chat(tokens: Sequence[TokenLogprob], piece: Callable[[int], bytes]) -> dict[str, Any]:
    """As in a chat completion."""

    def one(data: bytes, logprob: float) -> dict[str, Any]:
        return {"token": _text(data), "logprob": max(LEAST, logprob), "bytes": list(data)}

    said = []
    for token in tokens:
        best = [one(piece(other), logprob) for other, logprob in token.score.top]
        said.append({**one(token.data, token.score.logprob), "top_logprobs": best})
    return {"content": said, "refusal": None}


def of_text(tokens: Sequence[TokenLogprob], piece: Callable[[int], bytes]) -> dict[str, Any]:
    """As in a text completion."""
    return {
        "tokens": [_text(token.data) for token in tokens],
        "token_logprobs": [max(LEAST, token.score.logprob) for token in tokens],
        "top_logprobs": [{_text(piece(one)): max(LEAST, p) for one, p in token.score.top} for token in tokens],
        "text_offset": [token.at for token in tokens],
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
