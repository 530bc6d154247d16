"""From the events of a request to its HTTP response, whole or streamed.

If the client disconnects, the replies are cancelled. A failure of the engine is a status code before the first byte,
and an error event after it. A stream that has nothing to say for `COMMENT_INTERVAL` sends a comment, so that no proxy
takes it for dead, and asks nginx not to collect it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from z1.engines import Probe
from z1.errors import UpstreamFault, Z1Error
from z1.serve.api.logprobs import TokenRecord
from z1.serve.api.messages_format import messages_error
from z1.serve.api.openai_format import Choice, WireFormat, error_body, usage
from z1.serve.api.reply_text import Delta, OutputOptions, ReplyField, ReplyText, ToolDelta, finish_reason
from z1.serve.runtime.reply_runner import (
    Event,
    Failed,
    IndexedEvent,
    NewTokens,
    ReplyFinished,
    ReplyGroup,
    Started,
)

MakeChunk = Callable[[], bytes]

NO_HEADERS: Mapping[str, str] = {}

OnFinished = Callable[["PendingResponse"], None]

COMMENT_INTERVAL = 10.0
"""Seconds without a byte after which a stream sends a comment; proxies give up after 30 to 60."""

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx passes each event on at once
}


class PendingResponse:
    """The response to one request. `time_to_first_token` is in seconds from the arrival of the request.

    `commit`, if set, is awaited before anything of an event is sent; `budget_fields` gives more of a `budget` object.
    """

    def __init__(
        self, replies: ReplyGroup, wire_format: WireFormat, options: OutputOptions, prompt_tokens: int
    ) -> None:
        self.replies, self.wire_format, self.prompt_tokens = replies, wire_format, prompt_tokens
        self.texts = [ReplyText(options, request.budget, request.stop_strings) for request in replies.requests]
        has_records = options.return_token_ids or options.logprobs or options.token_ledger
        self.token_records = [
            TokenRecord(options, wire_format.format_logprobs) for _ in replies.requests if has_records
        ]
        self.new_tokens: list[list[NewTokens]] = [[] for _ in replies.requests]
        self.finished: dict[int, ReplyFinished] = {}
        self.error: Z1Error | None = None
        self.time_to_first_token: float | None = None
        self.commit: Callable[[], Awaitable[None]] | None = None
        self.budget_fields: Callable[[int], Mapping[str, Any]] = _no_fields
        self._first_events: list[IndexedEvent] = []

    async def wait_started(self) -> None:
        """Wait until every reply has started, at most `COMMENT_INTERVAL` seconds.

        Raises UserError if one does not fit, EngineFault if one failed.
        """
        alarm = _Alarm(COMMENT_INTERVAL, self.replies.wake)
        try:
            await self._wait_started(alarm)
        finally:
            alarm.cancel()

    async def _wait_started(self, alarm: _Alarm) -> None:
        waiting = set(range(len(self.texts)))
        while waiting and not alarm.is_due:
            for index, event in await self.replies.events():
                if isinstance(event, Failed):
                    self._fail(event.error)
                    raise event.error
                waiting.discard(index)
                self._first_events.append((index, event))

    async def stream(self) -> AsyncIterator[bytes]:
        """The response as server-sent events; events that arrive together are sent together."""
        yield b"".join(self.wire_format.first_chunk(index) for index in range(len(self.texts)))
        alarm = _Alarm(COMMENT_INTERVAL, self.replies.wake)
        try:
            async for events in self._events():
                chunks = self._chunks(events)
                if self._is_complete:
                    chunks.append(self._last_chunk())
                if chunks or alarm.is_due:
                    alarm.reset()
                    yield b"".join(chunks) or self.wire_format.keep_alive
        finally:
            alarm.cancel()

    async def json_body(self) -> dict[str, object]:
        """The whole response. Raises the error of a failed reply."""
        texts: list[dict[str, list[str]]] = [{"reasoning": [], "content": []} for _ in self.texts]
        async for events in self._events():
            for index, event in events:
                for delta in self._deltas(index, event):
                    if not isinstance(delta, ToolDelta):
                        texts[index][delta[0]].append(delta[1])
        if self.error is not None:
            raise self.error
        choices = [self._choice(index, text) for index, text in enumerate(texts)]
        return self.wire_format.response_body(choices, self._usage())

    async def _events(self) -> AsyncIterator[list[IndexedEvent]]:
        first, self._first_events = self._first_events, []
        if first:
            yield await self._committed(first)
        while not self._is_complete:
            yield await self._committed(await self.replies.events())

    async def _committed(self, events: list[IndexedEvent]) -> list[IndexedEvent]:
        """`events` once they may be sent; none if they cannot be booked."""
        if self.commit is not None:
            try:
                await self.commit()
            except Z1Error as error:
                self._fail(error)
                return []
        return events

    @property
    def _is_complete(self) -> bool:
        return self.error is not None or len(self.finished) == len(self.texts)

    def _last_chunk(self) -> bytes:
        if self.error is not None:
            return self.wire_format.error_chunk(self.error)
        return self.wire_format.last_chunk(self._usage())

    def _chunks(self, events: list[IndexedEvent]) -> list[bytes]:
        """The chunks for these events; consecutive deltas of one field are merged."""
        parts: list[tuple[tuple[int, ReplyField] | None, Any]] = []
        for index, event in events:
            for delta in self._deltas(index, event):
                if isinstance(delta, ToolDelta):
                    parts.append((None, partial(self.wire_format.tool_chunk, index, delta)))
                else:
                    parts.append(((index, delta[0]), delta[1]))
            parts += [(None, chunk) for chunk in self._chunks_without_text(index, event)]
        chunks: list[bytes] = []
        for key, group in groupby(parts, itemgetter(0)):
            values = [value for _, value in group]
            chunks += (
                [self.wire_format.text_chunk(key[0], (key[1], "".join(values)))] if key else [one() for one in values]
            )
        return chunks + [make() for index in range(len(self.token_records)) for make in self._token_chunks(index)]

    def _chunks_without_text(self, index: int, event: Event) -> list[MakeChunk]:
        """What makes the other chunks of an event, in its turn: a format may depend on what it sent before."""
        if isinstance(event, Probe) and self.replies.requests[index].policy.anytime:
            return [partial(self.wire_format.probe_chunk, index, self.texts[index].probes[-1])]
        if isinstance(event, ReplyFinished):
            text = self.texts[index]
            reason, budget = self._finish_reason(index), self._budget_object(index, event)
            last = partial(self.wire_format.final_chunk, index, reason, budget, text.stop_string)
            return [*self._token_chunks(index), last]
        return []

    def _token_chunks(self, index: int) -> list[MakeChunk]:
        fields = self._token_fields(index)
        return [partial(self.wire_format.token_chunk, index, fields)] if fields else []

    def _token_fields(self, index: int) -> dict[str, Any]:
        return self.token_records[index].pop_fields() if self.token_records else {}

    def _deltas(self, index: int, event: Event) -> list[Delta]:
        """Process an event; return its text."""
        text = self.texts[index]
        if isinstance(event, NewTokens):
            self.new_tokens[index].append(event)
            if self.token_records:
                self.token_records[index].add(event)
            if self.time_to_first_token is None:
                self.time_to_first_token = time.monotonic() - self.replies.requests[index].arrival_time
            return text.on_tokens(event)
        if isinstance(event, ReplyFinished):
            self.finished[index] = event
            if self.token_records:
                has_forced = self.replies.requests[index].sampling.forced_logprobs
                self.token_records[index].finish(event.logprobs, has_forced=has_forced)
            return text.on_finished()
        if isinstance(event, Started):
            text.on_started(event)
        elif isinstance(event, Probe) and self.replies.requests[index].policy.anytime:
            text.on_probe(event)
        elif isinstance(event, Failed):
            self._fail(event.error)
        return []

    def _fail(self, error: Z1Error) -> None:
        self.error = self.error or error
        self.replies.cancel()

    def _choice(self, index: int, text: dict[str, list[str]]) -> Choice:
        event, reply = self.finished[index], self.texts[index]
        reasoning, content = "".join(text["reasoning"]), "".join(text["content"])
        fields = {"budget": self._budget_object(index, event), **self._token_fields(index)}
        end = (self._finish_reason(index), fields)
        return Choice(reasoning, content, *end, reply.tool_calls, reply.stop_string)

    def _finish_reason(self, index: int) -> str:
        return finish_reason(self.finished[index], has_calls=bool(self.texts[index].tool_calls))

    def _budget_object(self, index: int, event: ReplyFinished) -> dict[str, Any]:
        return {**self.texts[index].budget_object(event), **self.budget_fields(index)}

    def _usage(self) -> dict[str, object]:
        return usage(self.prompt_tokens, [event.ledger for event in self.finished.values()])


def _no_fields(_: int) -> Mapping[str, Any]:
    return {}


def error_response(path: str, status: int, body: dict[str, Any], headers: Mapping[str, str] = NO_HEADERS) -> Response:
    """An error in the format of the API that `path` belongs to; `body` is in OpenAI's."""
    if path.startswith("/v1/messages"):
        body = messages_error(body, status)
        headers = {**headers, "request-id": body["request_id"]}
    return JSONResponse(body, status, headers)


def fault_response(error: Z1Error, headers: Mapping[str, str], path: str = "") -> Response:
    """The response to a failed request; that of an upstream has its status, code and `Retry-After`."""
    status, retry_after = 503, None
    if isinstance(error, UpstreamFault):
        status, retry_after = error.status, error.retry_after
    headers = {**headers, **({"retry-after": retry_after} if retry_after else {})}
    return error_response(path, status, error_body(error), headers)


class _Alarm:
    """Calls `ring` when nothing happened for `interval` seconds; `reset` costs no timer."""

    def __init__(self, interval: float, ring: Callable[[], None]) -> None:
        self._interval, self._ring = interval, ring
        self._loop = asyncio.get_running_loop()
        self.reset()
        self._timer = self._loop.call_later(interval, self._check)

    @property
    def is_due(self) -> bool:
        """Whether the interval has passed since the last reset."""
        return self._loop.time() >= self._due

    def reset(self) -> None:
        """Something happened."""
        self._due = self._loop.time() + self._interval

    def cancel(self) -> None:
        """Never ring again."""
        self._timer.cancel()

    def _check(self) -> None:
        if self.is_due:
            self._ring()
        wait = self._due - self._loop.time()
        self._timer = self._loop.call_later(wait if wait > 0 else self._interval, self._check)


class WholeResponse(Response):
    """Sends the response as one JSON body. `on_finished` is called once, in every case."""

    def __init__(self, response: PendingResponse, on_finished: OnFinished, headers: dict[str, str]) -> None:
        self._response, self._on_finished, self._extra_headers = response, on_finished, headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the replies, or for the client to disconnect."""
        watcher = _cancel_on_disconnect(receive, self._response)
        try:
            response: Response = JSONResponse(await self._response.json_body(), 200, self._extra_headers)
        except Z1Error as error:
            response = fault_response(error, self._extra_headers, scope["path"])
        finally:
            watcher.cancel()
            self._on_finished(self._response)
        await response(scope, receive, send)


class SseResponse(Response):
    """Sends the response as server-sent events. `on_finished` is called once, in every case."""

    def __init__(self, response: PendingResponse, on_finished: OnFinished, headers: dict[str, str]) -> None:
        self._response, self._on_finished = response, on_finished
        self.background = None
        self.raw_headers = [(name.encode(), value.encode()) for name, value in {**STREAM_HEADERS, **headers}.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send chunks until the replies have finished or the client disconnects."""
        watcher = _cancel_on_disconnect(receive, self._response)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for data in self._response.stream():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            watcher.cancel()
            self._response.replies.cancel()
            self._on_finished(self._response)


def _cancel_on_disconnect(receive: Receive, response: PendingResponse) -> asyncio.Task[None]:
    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        response.replies.cancel()

    return asyncio.get_running_loop().create_task(watch())
