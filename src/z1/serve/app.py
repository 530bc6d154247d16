"""Routes of the server:

    POST /v1/chat/completions            answer a conversation within its thinking budget
    POST /v1/chat/completions/control    end the thought of a running reply (llama.cpp's route and body)
    POST /v1/completions                 continue a text
    GET  /v1/models                      names of the served model
    GET  /health, /metrics, /docs        health check, Prometheus metrics, API documentation

The command line mounts the chat page at "/".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response

from z1.serve.api.schema import ChatRequest, CompletionRequest, ControlRequest, Request
from z1.serve.docs_page import docs_page
from z1.serve.error_handlers import add_error_handlers
from z1.serve.middleware import AccessMiddleware, CountingMiddleware
from z1.serve.runtime.response import SseResponse, WholeResponse
from z1.serve.runtime.service import ChatService, ClientIds, UnknownModel

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
        docs_url=None,  # FastAPI's page loads its scripts from the internet
        redoc_url=None,
    )
    add_error_handlers(
        app, lambda: service.engine.max_model_len, lambda request: _proxy(request, service, is_rejected=True)
    )
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


async def _proxy(http_request: HttpRequest, service: ChatService, *, is_rejected: bool) -> Response | None:
    """The upstream's response; None if z1 handles or rejects the request."""
    if not service.can_proxy:
        return None
    path = http_request.url.path.removeprefix("/v1")
    if path not in ("/chat/completions", "/completions"):
        return None
    return service.proxy(path, await http_request.json(), is_rejected=is_rejected)
