"""Routes of the server:

    POST /v1/chat/completions            answer a conversation within its thinking budget
    POST /v1/chat/completions/control    end the thought of a running reply (llama.cpp's route and body)
    POST /v1/completions                 continue a text
    POST /v1/responses                   answer a conversation of items (OpenAI's Responses API)
    POST /v1/messages                    answer a conversation of blocks (Anthropic's Messages API)
    POST /v1/messages/count_tokens       number of tokens of such a conversation
    GET  /v1/sessions/ID                 the ledger of a session
    GET  /v1/usage                       tokens by day, API key and model
    GET  /v1/models                      names of the served model
    GET  /health, /metrics, /docs        health check, Prometheus metrics, API documentation

The command line mounts the chat page at "/".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Query
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response

from z1.serve.api.messages import CountRequest, MessagesRequest
from z1.serve.api.messages_format import MessagesFormat
from z1.serve.api.request_parser import ParsedRequest, chat_fields
from z1.serve.api.responses import ResponsesRequest
from z1.serve.api.responses_format import ResponsesFormat
from z1.serve.api.schema import ChatRequest, CompletionRequest, ControlRequest, Request
from z1.serve.docs_page import docs_page
from z1.serve.error_handlers import add_error_handlers
from z1.serve.metrics import as_csv
from z1.serve.middleware import KEY_NAME, AccessMiddleware, CountingMiddleware
from z1.serve.runtime.response import SseResponse, WholeResponse
from z1.serve.runtime.service import NO_KEY, ChatService, ClientIds, MakeFormat, UnknownModel

DEFAULT_KEY = "default"
"""The name of the server's own key, which may read the usage of all keys."""

MAX_TURNS = 1000
"""Turns of a session in one response."""

RequestId = Annotated[str | None, Header(alias="X-Request-Id")]
ControlToken = Annotated[str | None, Header(alias="X-Control-Token")]
SessionHeader = Annotated[str | None, Header(alias="X-Z1-Session")]


def key_of(http_request: HttpRequest) -> str:
    """The name of the API key of a request."""
    name: str = http_request.scope.get(KEY_NAME, NO_KEY)
    return name


def _client_ids(
    http_request: HttpRequest,
    x_request_id: RequestId = None,
    x_control_token: ControlToken = None,
    x_z1_session: SessionHeader = None,
) -> ClientIds:
    return ClientIds(x_request_id, x_control_token, x_z1_session, key_of(http_request))


Client = Annotated[ClientIds, Depends(_client_ids)]
"""What a client chose for its request."""


def make_app(
    service: ChatService,
    key: str | None = None,
    *,
    named_keys: Mapping[str, str] | None = None,
    log_prompts: bool = False,
    allowed_origins: Collection[str] = (),
) -> FastAPI:
    """The ASGI application of a service. With a `key` every route but /health requires it, or one of `named_keys`.

    A named key has sessions and usage of its own. Web pages of `allowed_origins` may use it; "*" stands for all.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="z1",
        description="Language models with a thinking budget per request, behind OpenAI's API.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its scripts from the internet
        redoc_url=None,
    )
    add_error_handlers(
        app, lambda: service.engine.max_model_len, lambda request: _proxy(request, service, is_rejected=True)
    )
    _add_completion_routes(app, service, log_prompts=log_prompts)
    _add_agent_routes(app, service, log_prompts=log_prompts)
    _add_status_routes(app, service)
    _add_ledger_routes(app, service)
    keys = {**({} if key is None else {DEFAULT_KEY: key}), **(named_keys or {})}
    max_body_bytes = service.limits.max_body_bytes
    app.add_middleware(AccessMiddleware, keys=keys, max_body_bytes=max_body_bytes, allowed_origins=allowed_origins)
    app.add_middleware(CountingMiddleware, count=service.metrics.count_request, routes=app.routes)
    if allowed_origins:  # preflight requests have no key, so this comes first
        exposed = ["x-request-id", "request-id", "retry-after"]
        origins = list(allowed_origins)
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=exposed
        )
    return app


def _add_completion_routes(app: FastAPI, service: ChatService, *, log_prompts: bool) -> None:
    async def complete(http_request: HttpRequest, request: Request, client: ClientIds) -> Response:
        if (proxied := await _proxy(http_request, service, is_rejected=chat_fields(request) is not None)) is not None:
            return proxied
        return await _reply(service, request, client, _log_fields(request, log_prompts=log_prompts))

    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(
        http_request: HttpRequest,
        request: ChatRequest,
        client: Client,
    ) -> Response:
        """Answer a conversation."""
        return await complete(http_request, request, client)

    @app.post("/v1/completions", response_model=None)
    async def completions(
        http_request: HttpRequest,
        request: CompletionRequest,
        client: Client,
    ) -> Response:
        """Continue a text."""
        return await complete(http_request, request, client)

    @app.post("/v1/chat/completions/control")
    async def control(request: ControlRequest, x_control_token: ControlToken = None) -> dict[str, Any]:
        """End the thought of a running reply. Idempotent; `success` is true if this call ended it."""
        changed, message = await service.control(request, x_control_token)
        return {"id": request.id, "action": request.action, "success": changed, "message": message}


def _add_agent_routes(app: FastAPI, service: ChatService, *, log_prompts: bool) -> None:
    signer, sent_items = service.signer, service.sent_items

    async def complete(request: ChatRequest, client: ClientIds, make_format: MakeFormat) -> Response:
        log_fields = _log_fields(request, log_prompts=log_prompts)
        return await _reply(service, request, client, log_fields, make_format)

    @app.post("/v1/responses", response_model=None)
    async def responses(body: ResponsesRequest, client: Client) -> Response:
        """Answer a conversation of items."""
        request = body.chat_request(signer, partial(sent_items.find, client.key))
        has_store = body.store is not False and sent_items.ttl > 0
        keep_items = partial(sent_items.add, client.key) if has_store else None
        return await complete(request, client, lambda name, _: ResponsesFormat(name, body, signer.sign, keep_items))

    @app.post("/v1/messages", response_model=None)
    async def messages(body: MessagesRequest, client: Client) -> Response:
        """Answer a conversation of content blocks."""

        def make_format(name: str, parsed: ParsedRequest) -> MessagesFormat:
            return MessagesFormat(name, body.model, parsed.prompt_tokens, signer.sign)

        return await complete(body.chat_request(signer), client, make_format)

    @app.post("/v1/messages/count_tokens")
    async def count_tokens(body: CountRequest) -> dict[str, int]:
        """The number of tokens of a conversation as the model sees it."""
        return {"input_tokens": await service.count_prompt_tokens(body.chat_request(signer))}


async def _reply(
    service: ChatService,
    request: Request,
    client: ClientIds,
    log_fields: dict[str, Any],
    make_format: MakeFormat | None = None,
) -> Response:
    """The response to a request, whole or streamed."""
    response, parsed = await service.submit(request, client, log_fields, make_format)
    headers = {"x-request-id": response.wire_format.id, "request-id": response.wire_format.id}
    return (SseResponse if parsed.stream else WholeResponse)(response, service.finish, headers)


def _log_fields(request: Request, *, log_prompts: bool) -> dict[str, Any]:
    return {"prompt": request.model_dump(include={"messages", "prompt"})} if log_prompts else {}


def _add_status_routes(app: FastAPI, service: ChatService) -> None:
    def model_object(name: str) -> dict[str, Any]:
        fields = {"object": "model", "created": 0, "owned_by": "z1", "max_model_len": service.engine.max_model_len}
        return {"id": name, **fields}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The names of the served model."""
        return {"object": "list", "data": [model_object(name) for name in service.served_model_names]}

    @app.get("/v1/models/{name:path}", response_model=None)
    async def model(name: str) -> dict[str, Any]:
        """One model."""
        if name not in service.served_model_names:
            raise UnknownModel("model", f"{name}, which does not exist", f"use {service.served_model_names[0]}")
        return model_object(name)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    @app.get("/health", response_model=None)
    async def health() -> JSONResponse:
        """Status 200 if the engine is running and answers, else 503."""
        runner = service.runner
        fault = "the engine does not respond" if runner.is_alive else "the engine has stopped"
        body = {"status": "ok" if runner.is_responsive else fault, "running": service.running_replies}
        return JSONResponse(body, 200 if runner.is_responsive else 503)

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_ledger_routes(app: FastAPI, service: ChatService) -> None:
    @app.get("/v1/sessions/{session_id}")
    async def session(
        http_request: HttpRequest,
        session_id: str,
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_TURNS)] = MAX_TURNS,
    ) -> dict[str, Any]:
        """The ledger of a session: what was spent of its budget, turn by turn, from the turn after `after`."""
        return await service.sessions.read(key_of(http_request), session_id, after, limit)

    @app.get("/v1/usage", response_model=None)
    async def usage(
        http_request: HttpRequest, output: Annotated[Literal["json", "csv"], Query(alias="format")] = "json"
    ) -> Response:
        """Tokens by day (UTC), API key and model. A named key gets its own, the server's key those of all."""
        name = key_of(http_request)
        rows = service.metrics.usage.rows(None if name in (NO_KEY, DEFAULT_KEY) else name)
        if output == "csv":
            return Response(as_csv(rows), media_type="text/csv; charset=utf-8")
        return JSONResponse({"object": "list", "data": rows})


async def _proxy(http_request: HttpRequest, service: ChatService, *, is_rejected: bool) -> Response | None:
    """The upstream's response; None if z1 handles or rejects the request."""
    if not service.can_proxy:
        return None
    path = http_request.url.path.removeprefix("/v1")
    if path not in ("/chat/completions", "/completions"):
        return None
    body = await http_request.json()
    if isinstance(body, dict) and (session := http_request.headers.get("x-z1-session")) is not None:
        body = {**body, "session": session}  # z1 keeps its budget
    return service.proxy(path, body, key_of(http_request), is_rejected=is_rejected)
