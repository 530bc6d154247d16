"""The ASGI middleware of vLLM's HTTP server that gives requests of unchanged clients a window.

    vllm serve MODEL --logits-processors z1.vllm_plugin:PROFILE --middleware z1.vllm_plugin.middleware.RequestMiddleware

It reads the JSON body of a request for a reply, changes it as `request_rewriter.py` says, and counts. Whatever is not
changed is passed on byte for byte, and so is everything after an exception here.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from z1.vllm_plugin.counters import ERRORS, REQUESTS, EngineTotals, engine_folder
from z1.vllm_plugin.request_rewriter import ROUTES, rewrite
from z1.vllm_plugin.settings import open_settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = logging.getLogger(__name__)


class RequestMiddleware:
    """The class that vLLM adds to its application; it reads its settings from the environment."""

    def __init__(self, app: App) -> None:
        self._app, self._totals = app, EngineTotals()
        self._settings = open_settings(os.environ, ERRORS.labels("settings").inc)
        self._folder: Path | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, changed or not."""
        if scope["type"] == "lifespan":
            return await self._serve_lifespan(scope, receive, send)
        route = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] == "http" and scope["method"] == "POST" and route in ROUTES:
            body, last = await _read_body(receive)
            changed = self._changed(body, route) if last is None else None
            scope = scope if changed is None else {**scope, "headers": _headers(scope, len(changed))}
            receive = _replay(body if changed is None else changed, last, receive)
        elif scope["type"] == "http" and route.rstrip("/") == "/metrics":
            self._collect(scope)
        await self._app(scope, receive, send)

    async def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        folder = self._find_folder(scope)  # now: vLLM deletes the state of its application at the end
        try:
            await self._app(scope, receive, send)
        finally:  # engines that were killed leave their files
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _changed(self, body: bytes, route: str) -> bytes | None:
        """The new body; None if the request is to be passed on as it came."""
        try:
            settings = self._settings.current()
            request = json.loads(body)
            if not isinstance(request, dict):
                return None
            changed, decision = rewrite(request, route, settings, random.random)
            REQUESTS.labels(settings.for_model(request.get("model"))[0], decision.value).inc()
            return None if changed is None else json.dumps(changed).encode()
        except ValueError:  # no JSON: vLLM says so
            return None
        except Exception:  # an error of z1 must not cost a reply
            ERRORS.labels("middleware").inc()
            LOG.exception("z1: a request is passed on without z1")
            return None

    def _collect(self, scope: Scope) -> None:
        """Add the counts of the engine's processes."""
        with suppress(Exception):
            if (folder := self._find_folder(scope)) is not None:
                self._totals.collect(folder)

    def _find_folder(self, scope: Scope) -> Path | None:
        """The folder of this vLLM instance, which vLLM's application knows."""
        if self._folder is None:
            with suppress(Exception):
                self._folder = engine_folder(scope["app"].state.vllm_config.instance_id)
        return self._folder


async def _read_body(receive: Receive) -> tuple[bytes, Message | None]:
    """The whole body, and the message that ended it early: the client has disconnected."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts), message
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts), None


def _replay(body: bytes, last: Message | None, receive: Receive) -> Receive:
    """`receive` that gives the body again, then the message that ended it, then what comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": last is not None}]
    messages += [] if last is None else [last]

    async def replayed() -> Message:
        return messages.pop(0) if messages else await receive()

    return replayed


def _headers(scope: Scope, length: int) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
    return [*others, (b"content-length", str(length).encode())]
