"""Who may come in, with how much, and how many at a time?

Stands before every route: asks for the key, which is compared in constant time, and reads no more of a body than the
limit. Of many who come at once a few are let in at each turn of the loop, so that the engine has begun with the first
while the last are being read. Plain ASGI, so that it costs a stream nothing.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import deque

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from z1.serve.api.openai_format import error

AT_ONCE = 32
"""Who is let in at one turn of the loop."""

OPEN = frozenset({"/health"})
"""Paths that ask for no key."""


class AccessMiddleware:
    """Lets in who has the `key` (None: everybody), with a body of at most `body` bytes."""

    def __init__(self, app: ASGIApp, key: str | None, body: int) -> None:
        self._app, self._body = app, body
        self._wanted = None if key is None else f"Bearer {key}".encode()
        self._turns = AdmissionThrottle(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._may(scope):
            await self._turns.wait()
            await self._app(scope, _LimitedBody(receive, self._body), send)
        else:
            refusal = error("give the server's key: Authorization: Bearer ...", "authentication_error")
            await JSONResponse(refusal, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        if self._wanted is None or scope["path"] in OPEN:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._wanted)


class AdmissionThrottle:
    """Lets `most` pass at each turn of the loop, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._most, self._passed = most, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait for one's turn; where few come it is at once."""
        loop = asyncio.get_running_loop()
        if not self._passed:
            loop.call_soon(self._next)
        if self._passed < self._most:
            self._passed += 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._most:
            turn = self._waiting.popleft()
            if not turn.done():  # it may have been given up
                turn.set_result(None)
                self._passed += 1
        if self._passed:
            asyncio.get_running_loop().call_soon(self._next)


class _LimitedBody:
    """What a client sends, up to a limit."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left, self._most = receive, most, most

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, f"the body: got more than {self._most} bytes; send fewer")
        return message
