"""Which requests does an upstream answer by itself, and how does its answer come back?

An engine that stands for another server can hand a request on as it is. That is done where a request asks for no
thinking and either wants what z1 has no hand in (tools, response formats, log-probabilities, whatever the upstream
knows), or talks to a family that does not think by itself. Nothing of it is changed, and the answer is the upstream's
to the byte. A budget beside such a wish is said in the upstream's own words where it keeps windows itself (vLLM with
`vllm_window`); elsewhere the request is refused, since nobody would keep it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from z1 import profiles
from z1.engines import Engine
from z1.errors import EngineFault, UserError
from z1.serve.api.budget import EFFORTS, HINTS, SWITCHES, TOKENS, found, own_hint
from z1.serve.api.openai_format import DONE, error, event
from z1.serve.api.request_parser import RequestDefaults, asked_budget
from z1.serve.api.schema import ChatRequest
from z1.serve.runtime.reply_runner import ReplyRunner

WINDOW = (*TOKENS, *EFFORTS, *HINTS, *SWITCHES, "answer_tokens")
"""Names that ask for a window, which some upstreams keep themselves."""

OURS = ("deadline_ms", "min_thinking_tokens", "policy", "reasoning_control", "reasoning.exclude")
"""Names that ask for what only z1 does."""


class UpstreamResponse(Protocol):
    """An upstream's answer: status, media type, and the body as it comes."""

    @property
    def status(self) -> int:
        """HTTP's."""
        ...

    @property
    def kind(self) -> str:
        """The media type."""
        ...

    @property
    def pieces(self) -> AsyncIterator[bytes]:
        """The body."""
        ...


class Proxyable(Protocol):
    """An engine that can hand a request on."""

    def proxy_request(self, path: str, body: Mapping[str, Any]) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send `body` to `path` behind /v1. Raises EngineFault where no answer comes."""
        ...

    def window(
        self, body: Mapping[str, Any], thinking: int | None, answer: int | None, hint: str | None
    ) -> Mapping[str, Any] | None:
        """`body` asking the upstream to keep a window itself; None where it cannot."""
        ...


def upstream(engine: Engine) -> Proxyable | None:
    """The engine, where it can hand requests on."""
    return cast(Proxyable, engine) if hasattr(engine, "proxy_request") else None


def asks_for_thinking(body: Mapping[str, Any]) -> bool:
    """Whether a request says anything about thinking, under any name."""
    return bool(found(body, (*WINDOW, *OURS)))


def windowed(body: Mapping[str, Any], engine: Engine, defaults: RequestDefaults) -> Mapping[str, Any] | None:
    """`body` with its budget, or the server's, in the upstream's own words; None where nobody would keep it."""
    other, profile = upstream(engine), profiles.profile(engine.profile)
    names = {name.partition(".")[0] for name in WINDOW}
    said = {"model": "", "messages": [{"role": "user"}], **{name: body[name] for name in names & body.keys()}}
    if other is None or found(body, OURS):
        return None
    try:
        budget = asked_budget(ChatRequest.model_validate(said), profile, defaults)
    except (ValueError, UserError):  # what is wrong with it has been said
        return None
    rest = {name: value for name, value in body.items() if name not in names}
    return other.window(rest, budget.thinking_budget, budget.max_answer_tokens, own_hint(profile, budget))


class ProxyResponse(Response):
    """Hands a request on, and its answer back. `done` is called once, whatever happens."""

    def __init__(
        self, room: ReplyRunner, engine: Proxyable, request: tuple[str, Mapping[str, Any]], done: Callable[[], None]
    ):
        self._room, self._engine, self._request, self._done = room, engine, request, done
        self._heard: asyncio.Queue[tuple[int, str] | bytes | Exception | None] = asyncio.Queue()
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what comes as it comes; a client that goes away closes the upstream's stream."""
        fetching = self._room.spawn(self._fetch())
        leaving = asyncio.create_task(_gone(receive, fetching.cancel))
        try:
            await self._answer(scope, receive, send)
        finally:
            leaving.cancel()
            fetching.cancel()
            self._done()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = await self._heard.get()
        if not isinstance(head, tuple):
            body = error(head if isinstance(head, EngineFault) else "the upstream gave no answer", "engine_error")
            await JSONResponse(body, 503)(scope, receive, send)
            return
        status, kind = head
        headers = [(b"content-type", kind.encode("latin-1"))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while isinstance(piece := await self._heard.get(), bytes):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if isinstance(piece, Exception) and kind.startswith("text/event-stream"):
            broke = event(error(str(piece), "engine_error")) + DONE
            await send({"type": "http.response.body", "body": broke, "more_body": True})
        elif isinstance(piece, Exception):
            raise piece  # half a body of JSON: the connection is all that can say so
        await send({"type": "http.response.body", "body": b""})

    async def _fetch(self) -> None:
        """Beside the engine's replies, so that it ends when they do."""
        try:
            async with self._engine.proxy_request(*self._request) as answer:
                self._hear((answer.status, answer.kind))
                async for piece in answer.pieces:
                    self._hear(piece)
            self._hear(None)
        except Exception as fault:  # an engine's code is not ours: whatever it raises is its fault
            self._hear(fault)
        except BaseException:
            self._hear(None)
            raise

    def _hear(self, what: tuple[int, str] | bytes | Exception | None) -> None:
        self._heard.put_nowait(what)


async def _gone(receive: Receive, stop: Callable[[], object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stop()
