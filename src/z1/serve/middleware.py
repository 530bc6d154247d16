"""Access control before every route: API key, body limit, and admission of bursts.

The key is compared in constant time. At most 32 requests are admitted per event-loop iteration, so prefill starts
before a burst is fully parsed. Plain ASGI, so that it adds no cost to a stream.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import deque

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from z1.serve.api.openai_format import error_body

ADMITTED_PER_ITERATION = 32
"""Requests that are admitted in one iteration of the event loop."""

PUBLIC_PATHS = frozenset({"/health"})
"""Paths that need no key."""


class AccessMiddleware:
    """Rejects requests without the `key` (None: no key) and bodies above `max_body_bytes`."""

    def __init__(self, app: ASGIApp, key: str | None, max_body_bytes: int) -> None:
        self._app, self._max_body_bytes = app, max_body_bytes
        self._authorization = None if key is None else f"Bearer {key}".encode()
        self._throttle = AdmissionThrottle(ADMITTED_PER_ITERATION)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, or reject the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._is_authorized(scope):
            await self._throttle.wait()
            await self._app(scope, _LimitedBody(receive, self._max_body_bytes), send)
        else:
            body = error_body("missing or wrong API key; send Authorization: Bearer KEY", "authentication_error")
            await JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        if self._authorization is None or scope["path"] in PUBLIC_PATHS:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._authorization)


class AdmissionThrottle:
    """Admits `limit` callers per iteration of the event loop, in the order of their calls."""

    def __init__(self, limit: int) -> None:
        self._limit, self._admitted = limit, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait until the caller is admitted; no wait if fewer than `limit` callers were in this iteration."""
        loop = asyncio.get_running_loop()
        if not self._admitted:
            loop.call_soon(self._next_iteration)
        if self._admitted < self._limit:
            self._admitted += 1
            return
        admission = loop.create_future()
        self._waiting.append(admission)
        await admission

    def _next_iteration(self) -> None:
        self._admitted = 0
        while self._waiting and self._admitted < self._limit:
            admission = self._waiting.popleft()
            if not admission.done():  # its caller may have been cancelled
                admission.set_result(None)
                self._admitted += 1
        if self._admitted:
            asyncio.get_running_loop().call_soon(self._next_iteration)


class _LimitedBody:
    """`receive` with a limit on the bytes of the body."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._remaining, self._limit = receive, limit, limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._remaining -= len(message.get("body", b""))
        if self._remaining < 0:
            raise HTTPException(413, f"body: got more than {self._limit} bytes; send a smaller request")
        return message
