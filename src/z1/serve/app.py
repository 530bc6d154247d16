"""Routes and error responses of the server:

    POST /v1/chat/completions            answer a conversation within its thinking budget
    POST /v1/chat/completions/control    end the thought of a running reply (llama.cpp's route and body)
    POST /v1/completions                 continue a text
    GET  /v1/models                      names of the served model
    GET  /health, /metrics, /docs        health check, Prometheus metrics, API documentation

Errors have OpenAI's format. The command line mounts the chat page at "/".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from z1.errors import EngineFault, UserError, Z1Error
from z1.serve.api.openai_format import error_body
from z1.serve.api.parameters import ASSISTANT_VALUES, NO_OP_VALUES, STREAM_OPTION_VALUES
from z1.serve.api.schema import ChatRequest, CompletionRequest, ControlRequest, Request
from z1.serve.middleware import AccessMiddleware, CountingMiddleware
from z1.serve.runtime.response import SseResponse, WholeResponse
from z1.serve.runtime.service import ChatService, ClientIds, ServerBusy, UnknownModel

ERROR_STATUS: tuple[tuple[type[Z1Error], int, str], ...] = (
    (ServerBusy, 429, "rate_limit_error"),
    (UnknownModel, 404, "not_found_error"),
    (UserError, 400, "invalid_request_error"),
    (EngineFault, 503, "engine_error"),
    (Z1Error, 503, "server_error"),
)
"""Status and error type of an exception: the first row with its class."""

RequestId = Annotated[str | None, Header(alias="X-Request-Id")]
ControlToken = Annotated[str | None, Header(alias="X-Control-Token")]


def make_app(
    service: ChatService, key: str | None = None, *, log_prompts: bool = False, allowed_origins: Collection[str] = ()
) -> FastAPI:
    """The ASGI application of a service. With a `key` every route but /health requires it.

    Web pages of `allowed_origins` may use it; "*" stands for all.
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
        redoc_url=None,
    )
    _add_error_handlers(app, service)
    _add_completion_routes(app, service, log_prompts=log_prompts)
    _add_status_routes(app, service)
    max_body_bytes = service.limits.max_body_bytes
    app.add_middleware(AccessMiddleware, key=key, max_body_bytes=max_body_bytes, allowed_origins=allowed_origins)
    app.add_middleware(CountingMiddleware, count=service.metrics.count_request, routes=app.routes)
    if allowed_origins:  # preflight requests have no key, so this comes first
        exposed = ["x-request-id", "retry-after"]
        origins = list(allowed_origins)
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=exposed
        )
    return app


def _add_completion_routes(app: FastAPI, service: ChatService, *, log_prompts: bool) -> None:
    async def complete(http_request: HttpRequest, request: Request, client: ClientIds) -> Response:
        if (proxied := await _proxy(http_request, service, is_rejected=False)) is not None:
            return proxied
        log_fields = {"prompt": request.model_dump(include={"messages", "prompt"})} if log_prompts else {}
        response, parsed = await service.submit(request, client, log_fields)
        headers = {"x-request-id": response.wire_format.id}
        if parsed.stream:
            return SseResponse(response, service.finish, headers, include_usage=parsed.include_usage)
        return WholeResponse(response, service.finish, headers)

    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(
        http_request: HttpRequest,
        request: ChatRequest,
        x_request_id: RequestId = None,
        x_control_token: ControlToken = None,
    ) -> Response:
        """Answer a conversation."""
        return await complete(http_request, request, ClientIds(x_request_id, x_control_token))

    @app.post("/v1/completions", response_model=None)
    async def completions(
        http_request: HttpRequest,
        request: CompletionRequest,
        x_request_id: RequestId = None,
        x_control_token: ControlToken = None,
    ) -> Response:
        """Continue a text."""
        return await complete(http_request, request, ClientIds(x_request_id, x_control_token))

    @app.post("/v1/chat/completions/control")
    async def control(request: ControlRequest, x_control_token: ControlToken = None) -> dict[str, Any]:
        """End the thought of a running reply. Idempotent; `success` is true if this call ended it."""
        changed, message = await service.control(request, x_control_token)
        return {"id": request.id, "action": request.action, "success": changed, "message": message}


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
            raise UnknownModel("model", name, f"use {service.served_model_names[0]}")
        return model_object(name)

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


async def _proxy(http_request: HttpRequest, service: ChatService, *, is_rejected: bool) -> Response | None:
    """The upstream's response; None if z1 handles or rejects the request."""
    if not service.can_proxy:
        return None
    path = http_request.url.path.removeprefix("/v1")
    if path not in ("/chat/completions", "/completions"):
        return None
    return service.proxy(path, await http_request.json(), is_rejected=is_rejected)


def extra_field(name: str) -> str:
    """The message about a field that is not in the schema."""
    if name in NO_OP_VALUES or name in ASSISTANT_VALUES or name in STREAM_OPTION_VALUES:
        return "this server does not support it; leave it out"
    return "unknown field; /docs lists the supported ones"


def _add_error_handlers(app: FastAPI, service: ChatService) -> None:
    def respond(status: int, body: dict[str, Any]) -> JSONResponse:
        return JSONResponse(body, status, {"Retry-After": "1"} if status == 429 else None)

    @app.exception_handler(Z1Error)
    async def on_z1_error(http_request: HttpRequest, error: Z1Error) -> Response:
        is_rejected = type(error) is UserError
        if is_rejected and (proxied := await _proxy(http_request, service, is_rejected=True)) is not None:
            return proxied
        status, kind = next((status, kind) for row, status, kind in ERROR_STATUS if isinstance(error, row))
        param = error.what if isinstance(error, UserError) else None
        return respond(status, error_body(error, kind, param))

    @app.exception_handler(RequestValidationError)
    async def on_invalid_body(http_request: HttpRequest, error: RequestValidationError) -> Response:
        if isinstance(error.body, dict):
            proxied = await _proxy(http_request, service, is_rejected=True)
            if proxied is not None:
                return proxied
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = extra_field(str(first["loc"][-1]))
        text = f"{param}: {message}" if param else message
        return respond(400, error_body(text, "invalid_request_error", param or None))

    @app.exception_handler(HTTPException)
    async def on_http_error(_: HttpRequest, error: HTTPException) -> JSONResponse:
        return respond(error.status_code, error_body(str(error.detail), "invalid_request_error"))
