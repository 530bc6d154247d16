"""Which routes are there?

    POST /v1/chat/completions            a conversation goes on, within its budget
    POST /v1/chat/completions/control    the thought of a reply under way is ended (llama.cpp's route and body)
    POST /v1/completions                 a text goes on
    GET  /v1/models                      what can be asked
    GET  /health, /metrics, /docs        for operators and people

Errors have OpenAI's shape. What a page beside these routes needs, such as a chat page at "/", is mounted by the door.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from z1.errors import EngineFault, UserError, Z1Error
from z1.serve.api.openai_format import error
from z1.serve.api.schema import ChatRequest, CompletionRequest, ControlRequest, Request
from z1.serve.middleware import AccessMiddleware
from z1.serve.runtime.proxy import upstream
from z1.serve.runtime.response import SseResponse, WholeResponse
from z1.serve.runtime.service import ChatService, ServerBusy, UnknownModel

STATUS: tuple[tuple[type[Z1Error], int, str], ...] = (
    (ServerBusy, 429, "rate_limit_error"),
    (UnknownModel, 404, "not_found_error"),
    (UserError, 400, "invalid_request_error"),
    (EngineFault, 503, "engine_error"),
    (Z1Error, 503, "server_error"),
)
"""What a client is told of an error: the first row that fits."""

RequestId = Annotated[str | None, Header(alias="X-Request-Id")]


def make_app(service: ChatService, key: str | None = None, *, log_prompts: bool = False) -> FastAPI:
    """The server of one service. With a `key` every route but /health asks for it."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="z1",
        description="Language models that think only as long as the problem needs, behind OpenAI's API.",
        lifespan=living,
        redoc_url=None,
    )
    _handle_errors(app, service)
    _add_routes(app, service, log_prompts=log_prompts)
    app.add_middleware(AccessMiddleware, key=key, body=service.limits.max_body_bytes)
    return app


def _add_routes(app: FastAPI, service: ChatService, *, log_prompts: bool) -> None:
    async def answer(http: HttpRequest, request: Request, own_id: str | None) -> Response:
        if (relayed := await _lent(http, service, refused=False)) is not None:
            return relayed
        facts = {"prompt": request.model_dump(include={"messages", "prompt"})} if log_prompts else {}
        exchange, wanted = await service.submit(request, own_id, facts)
        route = "chat" if isinstance(request, ChatRequest) else "completions"
        service.metrics.request(route, 200)
        headers = {"x-request-id": exchange.dialect.id}
        if wanted.stream:
            return SseResponse(exchange, service.finish, headers, counts=wanted.usage)
        return WholeResponse(exchange, service.finish, headers)

    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(http: HttpRequest, request: ChatRequest, x_request_id: RequestId = None) -> Response:
        """Answer a conversation."""
        return await answer(http, request, x_request_id)

    @app.post("/v1/completions", response_model=None)
    async def completions(http: HttpRequest, request: CompletionRequest, x_request_id: RequestId = None) -> Response:
        """Continue a text."""
        return await answer(http, request, x_request_id)

    @app.post("/v1/chat/completions/control")
    async def control(request: ControlRequest) -> dict[str, Any]:
        """End the thought of a reply under way. Asking again changes nothing, and says so."""
        acted, why = await service.control(request)
        return {"id": request.id, "action": request.action, "success": acted, "message": why}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What can be asked."""
        return {"object": "list", "data": [_model(name, service) for name in service.served_model_names]}

    @app.get("/v1/models/{name:path}", response_model=None)
    async def model(name: str) -> dict[str, Any]:
        """One of them."""
        if name not in service.served_model_names:
            raise UnknownModel("model", name, f"ask for {service.served_model_names[0]}")
        return _model(name, service)

    @app.get("/health", response_model=None)
    async def health() -> JSONResponse:
        """Whether requests can be taken."""
        alive = service.runner.alive
        body = {"status": "ok" if alive else "the engine is gone", "running": service.running_replies}
        return JSONResponse(body, 200 if alive else 503)

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        """Counts and times, as Prometheus reads them."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _model(name: str, service: ChatService) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "z1",
        "max_model_len": service.engine.max_model_len,
    }


async def _lent(http: HttpRequest, service: ChatService, *, refused: bool) -> Response | None:
    """The answer of the engine's upstream, where z1 has no hand in the request."""
    if upstream(service.engine) is None:
        return None
    path = http.url.path.removeprefix("/v1")
    if path not in ("/chat/completions", "/completions"):
        return None
    return service.proxy(path, await http.json(), refused=refused)


def _handle_errors(app: FastAPI, service: ChatService) -> None:
    def told(request: HttpRequest, status: int, body: dict[str, Any]) -> JSONResponse:
        route = request.scope.get("route")
        service.metrics.request(getattr(route, "path", "other"), status)
        return JSONResponse(body, status, {"Retry-After": "1"} if status == 429 else None)

    @app.exception_handler(Z1Error)
    async def ours(request: HttpRequest, fault: Z1Error) -> Response:
        if type(fault) is UserError and (relayed := await _lent(request, service, refused=True)) is not None:
            return relayed
        status, kind = next((status, kind) for row, status, kind in STATUS if isinstance(fault, row))
        param = fault.what if isinstance(fault, UserError) else None
        return told(request, status, error(fault, kind, param))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: HttpRequest, fault: RequestValidationError) -> Response:
        if isinstance(fault.body, dict) and (relayed := await _lent(request, service, refused=True)) is not None:
            return relayed
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            said = "no such setting; see /docs for those there are"
        return told(request, 400, error(f"{where}: {said}" if where else said, "invalid_request_error", where or None))

    @app.exception_handler(HTTPException)
    async def http(request: HttpRequest, fault: HTTPException) -> JSONResponse:
        return told(request, fault.status_code, error(str(fault.detail), "invalid_request_error"))
