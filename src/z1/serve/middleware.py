"""Before every route: counting of responses, access control, body limit, and admission of bursts.

The key is compared in constant time. A server without a key trusts whoever reaches it, which must be programs of this
machine and not web pages that its browser shows. So it answers only to names of this machine (a page could let its own
name resolve to 127.0.0.1) and refuses changes on behalf of pages of other origins. At most 32 requests are admitted per
event-loop iteration, so prefill starts before a burst is fully parsed. Plain ASGI, so that it adds no cost to a stream.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections import deque
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from z1.serve.api.openai_format import error_body
from z1.serve.runtime.response import error_response

ADMITTED_PER_ITERATION = 32
"""Requests that are admitted in one iteration of the event loop."""

CHAT_FILES = frozenset({"/", "/chat/marked.js", "/chat/dompurify.js", "/chat/temml.js"})
"""Paths of the chat page, which has no secrets: it asks for the key."""

PUBLIC_PATHS = frozenset({"/health", *CHAT_FILES})
"""Paths that need no key."""


KEY_NAME = "z1.key"
"""The item of a request's scope with the name of its API key."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, which a page of any origin may use; it cannot read the response."""


class CountingMiddleware:
    """Calls `count` with the path of the route and the status of every response, whichever part of the server sends it.

    `routes` are those of the application; a response without one counts for the route "other".
    """

    def __init__(self, app: ASGIApp, count: Callable[[str, int], None], routes: Collection[BaseRoute]) -> None:
        self._app, self._count, self._routes = app, count, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application; an exception of it becomes a response of status 500."""
        status: int | None = None

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._count(self._route(scope), message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            if scope["type"] == "http" and status is None:
                self._count(self._route(scope), 500)
            raise

    def _route(self, scope: Scope) -> str:
        route = scope.get("route")
        if route is None:  # rejected before the router
            route = next((one for one in self._routes if one.matches(scope)[0] is not Match.NONE), None)
        return getattr(route, "path", "") or "other"


class AccessMiddleware:
    """Rejects requests without one of the `keys` (by name), and bodies above `max_body_bytes`.

    The name of the key that a request sends is `scope[KEY_NAME]`. Without keys it rejects foreign hosts, and changes by
    pages of origins that are not in `allowed_origins`.
    """

    def __init__(
        self, app: ASGIApp, keys: Mapping[str, str], max_body_bytes: int, allowed_origins: Collection[str] = ()
    ) -> None:
        self._app, self._max_body_bytes, self._allowed_origins = app, max_body_bytes, allowed_origins
        self._keys = {name: key.encode() for name, key in keys.items()}
        self._throttle = AdmissionThrottle(ADMITTED_PER_ITERATION)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, or reject the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif (rejection := self._rejection(scope)) is not None:
            await rejection(scope, receive, send)
        else:
            await self._throttle.wait()
            await self._app(scope, _LimitedBody(receive, self._max_body_bytes), send)

    def _rejection(self, scope: Scope) -> Response | None:
        headers = dict(scope["headers"])
        if self._keys:
            if (name := key_name(headers, self._keys)) is not None:
                scope[KEY_NAME] = name
            if name is not None or scope["path"] in PUBLIC_PATHS:
                return None
            message = "missing or wrong API key; send Authorization: Bearer KEY, or x-api-key: KEY"
            body = error_body(message, "authentication_error", code="invalid_api_key")
            return error_response(scope["path"], 401, body, {"WWW-Authenticate": "Bearer"})
        host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
        if host and not is_local_host(host):
            do = "use localhost or 127.0.0.1, or start the server with --api-key"
            return error_response(scope["path"], 403, error_body(f"Host: got {host[:100]}; {do}", "permission_error"))
        if origin and scope["method"] not in SAFE_METHODS and not self._allows(origin, host):
            do = "start the server with --allow-origin ORIGIN, or send the request from a page of this server"
            body = error_body(f"Origin: got {origin[:100]}; {do}", "permission_error")
            return error_response(scope["path"], 403, body)
        return None

    def _allows(self, origin: str, host: str) -> bool:
        is_allowed = "*" in self._allowed_origins or origin in self._allowed_origins
        return is_allowed or origin.lower().partition("://")[2] == host.lower()


def key_name(headers: Mapping[bytes, bytes], keys: Mapping[str, bytes]) -> str | None:
    """The name of the key that the request sends, as a bearer token or as x-api-key; None if it is none of `keys`."""
    scheme, *token = headers.get(b"authorization", b"").split(None, 1)[:2] or [b""]
    bearer = b"".join(token).strip() if scheme.lower() == b"bearer" else b""
    sent = (bearer, headers.get(b"x-api-key", b"").strip())
    found = [name for one in sent for name, key in keys.items() if hmac.compare_digest(one, key)]
    return found[0] if found else None


def is_local_host(host: str) -> bool:
    """Whether a Host header names this machine: localhost or a loopback address, with any port."""
    try:
        parts = urlsplit(f"//{host}")
        name = (parts.hostname or "").rstrip(".")
        is_host = parts.username is None and (parts.port or 0) >= 0  # `port` raises ValueError unless it is one
        return is_host and (name == "localhost" or ipaddress.ip_address(name).is_loopback)
    except ValueError:
        return False


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
