"""Token ids, log-probabilities and token ledger of a reply, for requests that ask for them.

In a stream they are sent in chunks without text, one per flush. Token ids are those of the whole reply, hint and stop
token included. Log-probabilities are those of sampled tokens of `content`: forced tokens, separate reasoning and the
stop token have none. The token ledger comes at the end and has every token of the reply: its id, bucket, whether it
was forced, and its log-probability.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from z1.engines import Logprob
from z1.serve.api.reply_text import OutputOptions
from z1.serve.runtime.reply_runner import NewTokens
from z1.think import FORCED, Bucket

MIN_LOGPROB = -9999.0
"""OpenAI's value for the log-probability of an impossible token, since JSON has no infinity."""


class TokenLogprob(NamedTuple):
    """A sampled token: the character of `content` at which it begins, its bytes, and its log-probability."""

    offset: int
    token_bytes: bytes
    logprob: Logprob


LogprobFormat = Callable[[Sequence[TokenLogprob], Callable[[int], bytes]], dict[str, Any]]
"""Formats tokens for the field `logprobs`; the function maps a token to its bytes."""


class TokenRecord:
    """Token ids and log-probabilities of one reply, collected until `pop_fields` returns them."""

    def __init__(self, options: OutputOptions, format_logprobs: LogprobFormat) -> None:
        self._options, self._format = options, format_logprobs
        self._token_ids: list[int] = []
        self._logprobs: list[TokenLogprob] = []
        self._runs: list[tuple[Bucket, tuple[int, ...]]] = []
        self._ledger: dict[str, Any] = {}
        self._bucket: Bucket | None = None
        self._offset = 0
        self._decode = _utf8_decoder()

    def add(self, event: NewTokens) -> None:
        """Collect new tokens."""
        if self._options.return_token_ids:
            self._token_ids += event.token_ids
        if self._options.logprobs and event.bucket is not Bucket.STOP:
            self._add_logprobs(event)
        if self._options.token_ledger:
            self._runs.append((event.bucket, event.token_ids))

    def finish(self, logprobs: Sequence[Logprob], *, has_forced: bool) -> None:
        """The reply has ended; `logprobs` are those of its session, with or without those of forced tokens."""
        if self._options.token_ledger:
            self._ledger = {"token_ledger": token_ledger(self._runs, logprobs, has_forced=has_forced)}

    def pop_fields(self) -> dict[str, Any]:
        """The fields of a choice for the tokens since the last call; empty if there are none."""
        token_ids, self._token_ids = self._token_ids, []
        logprobs, self._logprobs = self._logprobs, []
        fields: dict[str, Any] = {"token_ids": token_ids} if token_ids else {}
        fields |= {"logprobs": self._format(logprobs, self._options.token_bytes)} if logprobs else {}
        ledger, self._ledger = self._ledger, {}
        return fields | ledger

    def _add_logprobs(self, event: NewTokens) -> None:
        if self._options.separate_reasoning and event.bucket is not Bucket.ANSWER:
            return
        if event.bucket is not self._bucket:  # an incomplete character becomes U+FFFD, and decoding starts anew
            self._offset += len(self._decode(b"", True))
            self._bucket, self._decode = event.bucket, _utf8_decoder()
        for index, token in enumerate(event.token_ids):
            data = self._options.token_bytes(token)
            self._logprobs += [TokenLogprob(self._offset, data, one) for one in event.logprobs[index : index + 1]]
            self._offset += len(self._decode(data))


def join_fields(fields: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of two calls of `pop_fields`, for a response with one place for them."""
    token_ids = [*fields.get("token_ids", ()), *more.get("token_ids", ())]
    return {**fields, **more, **({"token_ids": token_ids} if token_ids else {})}


def token_ledger(
    runs: Sequence[tuple[Bucket, tuple[int, ...]]], logprobs: Sequence[Logprob], *, has_forced: bool
) -> dict[str, Any]:
    """The field `token_ledger`: three lists with one entry a token, and the buckets as spans.

    `logprobs` are those of the tokens of `runs` in order, of all or of sampled ones alone. What is missing is null.
    """
    token_ids = [token for _, tokens in runs for token in tokens]
    is_forced = [bucket in FORCED for bucket, tokens in runs for _ in tokens]
    found = iter(logprobs)
    values = [next(found, None) if has_forced or not forced else None for forced in is_forced]
    spans: list[list[Any]] = []
    for bucket, tokens in runs:
        start = spans[-1][2] if spans else 0
        if spans and spans[-1][0] == bucket.value:
            spans[-1][2] += len(tokens)
        else:
            spans.append([bucket.value, start, start + len(tokens)])
    return {
        "token_ids": token_ids,
        "is_forced": is_forced,
        "logprobs": [None if value is None else max(MIN_LOGPROB, value.logprob) for value in values],
        "spans": spans,
    }


def _utf8_decoder() -> Callable[..., str]:
    return codecs.getincrementaldecoder("utf-8")("replace").decode


def chat_logprobs(tokens: Sequence[TokenLogprob], token_bytes: Callable[[int], bytes]) -> dict[str, Any]:
    """The field `logprobs` of a chat completion."""

    def entry(data: bytes, logprob: float) -> dict[str, Any]:
        return {"token": _text(data), "logprob": max(MIN_LOGPROB, logprob), "bytes": list(data)}

    content = []
    for token in tokens:
        top = [entry(token_bytes(other), logprob) for other, logprob in token.logprob.top]
        content.append({**entry(token.token_bytes, token.logprob.logprob), "top_logprobs": top})
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprob], token_bytes: Callable[[int], bytes]) -> dict[str, Any]:
    """The field `logprobs` of a text completion."""
    return {
        "tokens": [_text(token.token_bytes) for token in tokens],
        "token_logprobs": [max(MIN_LOGPROB, token.logprob.logprob) for token in tokens],
        "top_logprobs": [
            {_text(token_bytes(other)): max(MIN_LOGPROB, logprob) for other, logprob in token.logprob.top}
            for token in tokens
        ],
        "text_offset": [token.offset for token in tokens],
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
