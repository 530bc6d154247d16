"""Proxying: requests that the upstream server answers itself.

An engine in front of another server (`engines/remote.py`) can send it a request unchanged and return its response byte
for byte; only the usage of a stream is asked for and taken out again (`proxied_usage.py`). A request without a thinking
setting is proxied if it uses features that z1 does not support (tools, response formats, log-probabilities, unknown
fields), or if the model's profile has no thinking by default. A budget together with such a feature is translated for
an upstream that enforces windows itself (vLLM with our plug-in); elsewhere the request is rejected, since nothing would
enforce the budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from z1 import profiles
from z1.engines import Engine
from z1.errors import EngineFault, UserError, Z1Error
from z1.families import AnswerKind
from z1.serve.api.budget import BUDGET_FIELDS, EFFORT_FIELDS, HINT_FIELDS, SWITCH_FIELDS, find_fields, hint_text
from z1.serve.api.openai_format import COMMENT, DONE, error_body, sse_event
from z1.serve.api.request_parser import RequestDefaults, parse_budget
from z1.serve.api.schema import ChatRequest
from z1.serve.metrics import UsageCounts
from z1.serve.runtime.proxied_usage import UsageReader, ask_for_usage
from z1.serve.runtime.reply_runner import ReplyRunner
from z1.serve.runtime.response import COMMENT_INTERVAL, fault_response

WINDOW_FIELDS = (*BUDGET_FIELDS, *EFFORT_FIELDS, *HINT_FIELDS, *SWITCH_FIELDS, "answer_tokens", "answer_kind")
"""Fields that set a window, which some upstreams enforce themselves."""

Z1_FIELDS = (
    "deadline_ms",
    "min_thinking_tokens",
    "policy",
    "reasoning_control",
    "reasoning.exclude",
    "session",
    "thinking.display",
)
"""Fields that only z1 supports."""


class UpstreamResponse(Protocol):
    """The response of an upstream: status, media type, and body."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def media_type(self) -> str:
        """The content type."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that the client gets too."""
        ...

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        ...


class Proxyable(Protocol):
    """An engine that can send a request to its upstream."""

    def proxy_request(self, path: str, body: Mapping[str, Any]) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send `body` to `path` below /v1. Raises EngineFault if there is no response."""
        ...

    def request_with_budget(
        self,
        body: Mapping[str, Any],
        thinking_budget: int | None,
        max_answer_tokens: int | None,
        hint: str | None,
        answer_kind: AnswerKind | None,
    ) -> Mapping[str, Any] | None:
        """`body` with a window that the upstream enforces; None if it cannot."""
        ...


def as_proxyable(engine: Engine) -> Proxyable | None:
    """The engine if it can proxy requests, else None."""
    return cast(Proxyable, engine) if hasattr(engine, "proxy_request") else None


def has_thinking_fields(body: Mapping[str, Any]) -> bool:
    """Whether a request has a thinking field, under any of its names."""
    return bool(find_fields(body, (*WINDOW_FIELDS, *Z1_FIELDS)))


def translate_budget(body: Mapping[str, Any], engine: Engine, defaults: RequestDefaults) -> Mapping[str, Any] | None:
    """`body` with its budget, or the server's, in the upstream's format; None if the upstream cannot enforce it."""
    upstream, profile = as_proxyable(engine), profiles.get_profile(engine.profile)
    names = {name.partition(".")[0] for name in WINDOW_FIELDS}
    window_fields = {name: body[name] for name in names & body.keys()}
    if upstream is None or find_fields(body, Z1_FIELDS):
        return None
    try:
        minimal = {"model": body.get("model", ""), "messages": [{"role": "user"}]}
        request = ChatRequest.model_validate({**minimal, **window_fields})
        budget = parse_budget(request, profile, defaults)
    except (ValueError, UserError):  # the caller returns the error that rejected the request
        return None
    rest = {name: value for name, value in body.items() if name not in names}
    hint = hint_text(profile, budget)
    kind = None if budget.answer_kind is AnswerKind.TEXT else budget.answer_kind
    return upstream.request_with_budget(rest, budget.limit, budget.max_answer_tokens, hint, kind)


class _Head(NamedTuple):
    status: int
    media_type: str
    headers: Mapping[str, str]


class ProxyResponse(Response):
    """Sends a request to the upstream and returns its response.

    `on_finished` is called once, in every case: with what the reply used, or with None if there was none. `commit`, if
    set, is awaited before the end of the response is sent.
    """

    def __init__(
        self,
        runner: ReplyRunner,
        engine: Proxyable,
        request: tuple[str, Mapping[str, Any]],
        on_finished: Callable[[UsageCounts | None], None],
        commit: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        body, is_added = ask_for_usage(request[1])
        self._runner, self._engine, self._request = runner, engine, (request[0], body)
        self._usage, self._is_reply, self._is_finished = UsageReader(body, is_added=is_added), True, False
        self._on_finished, self._commit = on_finished, commit
        self._received: asyncio.Queue[_Head | bytes | Exception | None] = asyncio.Queue()
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the body as it arrives; if the client disconnects, the upstream's stream is closed."""
        fetcher = self._runner.run_in_background(self._fetch())
        watcher = asyncio.create_task(_call_on_disconnect(receive, fetcher.cancel))
        try:
            await self._forward(scope, receive, send)
        finally:
            watcher.cancel()
            fetcher.cancel()
            self._finish()

    def _finish(self) -> None:
        if not self._is_finished:
            self._is_finished = True
            self._on_finished(self._usage.counts() if self._is_reply else None)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = await self._received.get()
        if not isinstance(head, _Head):
            self._is_reply = False
            error = head if isinstance(head, EngineFault) else EngineFault("the upstream did not respond")
            await fault_response(error, {}, scope["path"])(scope, receive, send)
            return
        self._is_reply = head.status < HTTPStatus.BAD_REQUEST
        is_stream = head.media_type.startswith("text/event-stream")
        headers = {"content-type": head.media_type, **head.headers}
        headers |= {"x-accel-buffering": "no"} if is_stream else {}
        raw_headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": head.status, "headers": raw_headers})
        read = self._usage.read_event_bytes if is_stream else self._usage.read_body_bytes
        while isinstance(chunk := await self._next_chunk(comments=is_stream), bytes):
            if data := chunk if chunk == COMMENT else read(chunk):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        rest = self._usage.end(is_stream=is_stream)
        if isinstance(chunk, Exception) and is_stream:
            rest += sse_event(error_body(chunk if isinstance(chunk, Z1Error) else "the upstream failed")) + DONE
        elif isinstance(chunk, Exception):
            raise chunk  # closing the connection is the only way to report an incomplete JSON body
        self._finish()
        if self._commit is not None:
            await self._commit()
        await send({"type": "http.response.body", "body": rest})

    async def _next_chunk(self, *, comments: bool) -> _Head | bytes | Exception | None:
        """The next chunk; a comment if none comes for a while. Events are sent whole, so it stands between two."""
        try:
            async with asyncio.timeout(COMMENT_INTERVAL if comments else None):
                return await self._received.get()
        except TimeoutError:
            return COMMENT

    async def _fetch(self) -> None:
        """Read the upstream's response into the queue; the runner cancels it when the engine closes."""
        put = self._received.put_nowait
        try:
            async with self._engine.proxy_request(*self._request) as response:
                put(_Head(response.status, response.media_type, response.headers))
                async for chunk in response.chunks:
                    put(chunk)
            put(None)
        except Exception as error:  # third-party engine code may raise anything
            put(error)
        except BaseException:
            put(None)
            raise


async def _call_on_disconnect(receive: Receive, callback: Callable[[], object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    callback()
