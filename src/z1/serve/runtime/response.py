"""How does one request come to its end?

Its replies are placed, their events become pieces, and the pieces go to the client, whole or as they come. A client
that goes away takes its replies with it; an engine that fails gives an error, as a status before the first piece and as
an event after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from itertools import groupby
from operator import itemgetter
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from z1.engines import Probe
from z1.errors import Z1Error
from z1.serve.api.logprobs import TokenRecord
from z1.serve.api.openai_format import DONE, Choice, WireFormat, error, event, usage
from z1.serve.api.reply_text import OutputOptions, ReplyField, ReplyText, TextDelta, finish
from z1.serve.runtime.reply_runner import Failed, IndexedEvent, NewTokens, ReplyFinished, ReplyGroup, Started

Finished = Callable[["PendingResponse"], None]


class PendingResponse:
    """One request under way. `first` is the second at which its first id was there, counted from its coming."""

    def __init__(self, replies: ReplyGroup, dialect: WireFormat, style: OutputOptions, prompt_tokens: int) -> None:
        self.replies, self.dialect, self.prompt_tokens = replies, dialect, prompt_tokens
        self.parts = [ReplyText(style, order.budget, order.stop) for order in replies.orders]
        told = style.token_ids or style.logprobs
        self.tokens = [TokenRecord(style, dialect.logprobs) for _ in replies.orders] if told else []
        self.came: list[list[NewTokens]] = [[] for _ in replies.orders]
        self.ends: dict[int, ReplyFinished] = {}
        self.fault: Z1Error | None = None
        self.first: float | None = None
        self._early: list[IndexedEvent] = []

    async def begin(self) -> None:
        """Wait until every reply has begun. Raises UserError where one does not fit, EngineFault where one failed."""
        waiting = set(range(len(self.parts)))
        while waiting:
            for index, happened in await self.replies.events():
                if isinstance(happened, Failed):
                    self._fail(happened.error)
                    raise happened.error
                waiting.discard(index)
                self._early.append((index, happened))

    async def stream(self, *, counts: bool) -> AsyncIterator[bytes]:
        """The reply as events; those that come together go out together."""
        yield b"".join(self.dialect.open(index) for index in range(len(self.parts)))
        async for told in self._all():
            lines = self._lines(told) + (self._last(counts=counts) if self._over else [])
            if lines:
                yield b"".join(lines)

    async def whole(self) -> dict[str, object]:
        """The reply in one piece. Raises what made it fail."""
        texts: list[dict[str, list[str]]] = [{"reasoning": [], "content": []} for _ in self.parts]
        async for told in self._all():
            for index, happened in told:
                for name, text in self._pieces(index, happened):
                    texts[index][name].append(text)
        if self.fault is not None:
            raise self.fault
        choices = [self._choice(index, text) for index, text in enumerate(texts)]
        return self.dialect.whole(choices, self._usage())

    async def _all(self) -> AsyncIterator[list[IndexedEvent]]:
        early, self._early = self._early, []
        if early:
            yield early
        while not self._over:
            yield await self.replies.events()

    @property
    def _over(self) -> bool:
        return self.fault is not None or len(self.ends) == len(self.parts)

    def _last(self, *, counts: bool) -> list[bytes]:
        """What a stream says at its end."""
        if self.fault is not None:
            return [event(error(self.fault)), DONE]
        return [self.dialect.usage(self._usage()), DONE] if counts else [DONE]

    def _lines(self, told: list[IndexedEvent]) -> list[bytes]:
        """What a round says on the wire: pieces that follow each other in one field go out as one."""
        said: list[tuple[tuple[int, ReplyField] | None, Any]] = []
        for index, happened in told:
            said += [((index, name), text) for name, text in self._pieces(index, happened)]
            said += [(None, line) for line in self._marks(index, happened)]
        lines: list[bytes] = []
        for key, run in groupby(said, itemgetter(0)):
            found = [one for _, one in run]
            lines += [self.dialect.piece(key[0], (key[1], "".join(found)))] if key else found
        return lines + [line for index in range(len(self.tokens)) for line in self._tokens(index)]

    def _marks(self, index: int, happened: object) -> list[bytes]:
        """What a round says beside text."""
        if isinstance(happened, Probe) and self.replies.orders[index].policy.tell:
            return [self.dialect.probe(index, self.parts[index].probes[-1])]
        if isinstance(happened, ReplyFinished):
            last = [self.dialect.close(index, finish(happened), self.parts[index].account(happened))]
            return self._tokens(index) + last
        return []

    def _tokens(self, index: int) -> list[bytes]:
        fields = self.tokens[index].take() if self.tokens else {}
        return [self.dialect.tokens(index, fields)] if fields else []

    def _pieces(self, index: int, happened: object) -> list[TextDelta]:
        parts = self.parts[index]
        if isinstance(happened, NewTokens):
            self.came[index].append(happened)
            if self.tokens:
                self.tokens[index].came(happened)
            if self.first is None:
                self.first = time.monotonic() - self.replies.orders[index].arrived
            return parts.came(happened)
        if isinstance(happened, ReplyFinished):
            self.ends[index] = happened
            return parts.ended()
        if isinstance(happened, Started):
            parts.begun(happened)
        elif isinstance(happened, Probe) and self.replies.orders[index].policy.tell:
            parts.probed(happened)
        elif isinstance(happened, Failed):
            self._fail(happened.error)
        return []

    def _fail(self, fault: Z1Error) -> None:
        self.fault = self.fault or fault
        self.replies.cancel()

    def _choice(self, index: int, text: dict[str, list[str]]) -> Choice:
        ended = self.ends[index]
        reasoning, content = "".join(text["reasoning"]), "".join(text["content"])
        tokens = self.tokens[index].take() if self.tokens else {}
        return Choice(reasoning, content, finish(ended), {"budget": self.parts[index].account(ended), **tokens})

    def _usage(self) -> dict[str, object]:
        return usage(self.prompt_tokens, [ended.ledger for ended in self.ends.values()])


class WholeResponse(Response):
    """Sends an exchange in one piece."""

    def __init__(self, exchange: PendingResponse, done: Finished, headers: dict[str, str]) -> None:
        self._exchange, self._done, self._names = exchange, done, headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the end, or for the client to go away."""
        leaving = _watch(receive, self._exchange)
        try:
            body, status = await self._exchange.whole(), 200
        except Z1Error as fault:
            body, status = error(fault), 503
        finally:
            leaving.cancel()
            self._done(self._exchange)
        await JSONResponse(body, status, self._names)(scope, receive, send)


class SseResponse(Response):
    """Sends an exchange as server-sent events."""

    def __init__(self, exchange: PendingResponse, done: Finished, headers: dict[str, str], *, counts: bool) -> None:
        self._exchange, self._done, self._counts = exchange, done, counts
        self.background = None
        plain = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers}
        self.raw_headers = [(name.encode(), value.encode()) for name, value in plain.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what comes as it comes, until its end or until the client goes away."""
        leaving = _watch(receive, self._exchange)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for data in self._exchange.stream(counts=self._counts):
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            self._exchange.replies.cancel()
            self._done(self._exchange)


def _watch(receive: Receive, exchange: PendingResponse) -> asyncio.Task[None]:
    """Gives the replies up when the client goes away."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        exchange.replies.cancel()

    return asyncio.get_running_loop().create_task(gone())
