"""Sessions on an upstream's `/v1/completions`.

A sample is a request for at most n tokens after the whole context; an interrupted sample closes its stream, and the
next request sends all tokens so far. The upstream's prefix cache makes that cheap, if it has one. A sample ends at n
tokens even if the upstream goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from z1.engines.cancellation import CANCELLED, await_unless_cancelled
from z1.engines.protocol import Capabilities, FinishReason, ForbiddenSequences, Logprob, Sampled, Sampling
from z1.engines.remote.connection import DONE, Connection
from z1.engines.remote.replies import Ending, read_pieces
from z1.engines.remote.text_tokens import TextTokens
from z1.errors import EngineFault, UpstreamFault
from z1.profiles import Tokenizer, decode
from z1.think import EndBias


@dataclass(frozen=True, slots=True)
class Model:
    """What sessions need of an entered engine: the connection, the upstream's model, and the tokenizer.

    `controls` are texts with token ids of their own, such as a closing think tag. `vocabulary` is the number of token
    ids, if known. `begin` are the tokens that a tokenizer puts before every text; an upstream adds them to text itself.
    """

    connection: Connection
    name: str
    tokenizer: Tokenizer
    token_bytes: Callable[[int], bytes]
    controls: tuple[str, ...]
    begin: tuple[int, ...]
    vocabulary: int | None
    max_model_len: int
    capabilities: Capabilities

    def prompt(self, context: Sequence[int]) -> list[int] | str:
        """The context as the upstream takes it."""
        if self.capabilities.has_token_ids:
            return list(context)
        has_begin = tuple(context[: len(self.begin)]) == self.begin
        return decode(self.tokenizer, context[len(self.begin) if has_begin else 0 :])

    def text_tokens(self, before: Sequence[int]) -> TextTokens:
        """An encoder of text that follows the tokens `before`."""
        return TextTokens(self.tokenizer, self.token_bytes, self.controls, before)


class CompletionSession:
    """One context, held here and sent with each request; see `protocol.Session`."""

    def __init__(self, model: Model, context: Sequence[int], sampling: Sampling) -> None:
        self._model, self._sampling = model, sampling
        self.context = list(context)
        self.logprobs: Sequence[Logprob] = ()
        self.on_accepted: Callable[[], None] | None = None
        """Called when the upstream has accepted the first request: from then on a failure is not a status."""
        self._pending: list[int] = []
        self._interrupted: asyncio.Future[None] | None = None

    @property
    def free_tokens(self) -> int:
        """Tokens that still fit."""
        return self._model.max_model_len - len(self.context)

    @property
    def pending_token_ids(self) -> Sequence[int]:
        """The tokens so far of the running sample."""
        return self._pending if self._interrupted else ()

    async def sample(self, max_tokens: int, forbidden: ForbiddenSequences = (), bias: EndBias | None = None) -> Sampled:
        """Sample 1 to `max_tokens` tokens, none of `forbidden` (single tokens) among them."""
        if not 1 <= max_tokens <= self.free_tokens:
            raise EngineFault(f"{max_tokens} tokens requested, {self.free_tokens} fit")
        self._pending, self._interrupted = [], asyncio.get_running_loop().create_future()
        try:
            reason = await self._complete(self._pending, self._interrupted, max_tokens, forbidden)
        finally:
            self._interrupted = None
        self.context += self._pending
        return Sampled(tuple(self._pending), reason)

    async def append(self, token_ids: Sequence[int]) -> None:
        """Append forced tokens; they are sent with the next sample."""
        if len(token_ids) > self.free_tokens:
            raise EngineFault(f"{len(token_ids)} tokens forced, {self.free_tokens} fit")
        self.context += token_ids

    async def fork(self, sampling: Sampling | None = None) -> CompletionSession:
        """Another session with the same context, which needs a request of its own."""
        return CompletionSession(self._model, self.context, sampling or self._sampling)

    def interrupt(self) -> None:
        """Close the stream of the running sample."""
        if self._interrupted is not None and not self._interrupted.done():
            self._interrupted.set_result(None)

    async def close(self) -> None:
        """No effect: nothing is held between two samples."""

    async def _complete(
        self, token_ids: list[int], interrupted: asyncio.Future[None], max_tokens: int, forbidden: ForbiddenSequences
    ) -> FinishReason:
        """Add up to `max_tokens` to `token_ids` as they arrive, until interrupted."""
        model = self._model
        body = {"model": model.name, "prompt": model.prompt(self.context), "max_tokens": max_tokens, "stream": True}
        with_ids = model.capabilities.has_token_ids
        body |= request_settings(self._sampling, len(self.context), max_tokens, forbidden, with_token_ids=with_ids)
        async with AsyncExitStack() as stack:
            request = stack.enter_async_context(model.connection.stream("/completions", body))
            events: Any = await await_unless_cancelled(interrupted, request)
            if events is CANCELLED:
                return FinishReason.INTERRUPTED
            if self.on_accepted is not None:
                self.on_accepted()
                self.on_accepted = None
            return await self._read(events, token_ids, interrupted, max_tokens)

    async def _read(
        self, events: AsyncIterator[Any], token_ids: list[int], interrupted: asyncio.Future[None], max_tokens: int
    ) -> FinishReason:
        text = None if self._model.capabilities.has_token_ids else self._model.text_tokens(self.context)
        ending: Ending | None = None
        while True:
            event: Any = await await_unless_cancelled(interrupted, next_event(events))
            if event is None:
                break
            if event is CANCELLED:
                return FinishReason.INTERRUPTED
            for piece in read_pieces(event, self._model.vocabulary):
                ending = piece.ending or ending
                new = piece.token_ids if text is None else text.feed(piece.text)
                if (reason := self._add(token_ids, new, max_tokens)) is not None:
                    return reason
                if event is DONE and not token_ids:
                    raise EngineFault("the upstream's stream has no reply")
                if ending in (Ending.STOP, Ending.LENGTH):
                    held = text.flush() if text is not None else ()
                    return self._add(token_ids, held, max_tokens) or self._end(token_ids, ending, max_tokens)
                if len(token_ids) == max_tokens:  # an upstream that goes on is cut off
                    return FinishReason.LIMIT
        if ending is None:
            raise UpstreamFault("the upstream broke off its response: no finish reason")
        held = text.flush() if text is not None else ()
        return self._add(token_ids, held, max_tokens) or self._end(token_ids, Ending.STOP, max_tokens)

    def _add(self, token_ids: list[int], new: Iterable[int], max_tokens: int) -> FinishReason | None:
        """Add tokens up to a stop token or the maximum; returns why the sample ends before the last of them, if so."""
        for token in new:
            if len(token_ids) == max_tokens:
                return FinishReason.LIMIT
            token_ids.append(token)
            if token in self._sampling.stop_token_ids:
                return FinishReason.STOP
        return None

    def _end(self, token_ids: list[int], ending: Ending, max_tokens: int) -> FinishReason:
        """Why the sample ended. Adds the stop token, which upstreams without token ids do not return."""
        if ending is Ending.LENGTH:
            is_short = self._model.capabilities.has_token_ids and len(token_ids) < max_tokens
            if not token_ids or is_short:
                raise EngineFault(f"the upstream ended with 'length' after {len(token_ids)} of {max_tokens} tokens")
            return FinishReason.LIMIT
        if len(token_ids) == max_tokens:  # more tokens here than there; the stop follows in the next sample
            return FinishReason.LIMIT
        token_ids.append(stop_token(self._model.tokenizer, self._sampling))
        return FinishReason.STOP


def stop_token(tokenizer: Tokenizer, sampling: Sampling) -> int:
    """The stop token of a reply that an upstream ended. Raises EngineFault if the reply has none."""
    stops, eos = sampling.stop_token_ids, tokenizer.eos_token_id
    if not stops:
        raise EngineFault("the upstream stopped a reply without stop tokens")
    return eos if eos is not None and eos in stops else min(stops)


async def next_event(events: AsyncIterator[Any]) -> Any:
    """The next event; None after the last."""
    return await anext(events, None)


def request_settings(
    sampling: Sampling, position: int, max_tokens: int, forbidden: ForbiddenSequences, *, with_token_ids: bool
) -> dict[str, Any]:
    """The settings of a request of `max_tokens` whose context has `position` tokens.

    An upstream forbids only stop tokens before `min_tokens`, so forbidden tokens are sent as stop tokens.
    """
    settings: dict[str, Any] = {"temperature": sampling.temperature}
    if sampling.temperature:
        settings |= {"top_p": sampling.top_p, "seed": sampling.seed_at(position)}
        settings |= {"top_k": sampling.top_k} if sampling.top_k else {}
    if with_token_ids:
        stops = sorted(sampling.stop_token_ids.union(*forbidden))
        settings |= {"return_token_ids": True, "ignore_eos": True, "stop_token_ids": stops}
        settings |= {"min_tokens": max_tokens} if forbidden else {}
    return settings
