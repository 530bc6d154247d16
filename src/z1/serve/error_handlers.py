"""Error responses in OpenAI's format: from an exception to a status and a body.

`message` names the field, the value and what to do; `param` is the path of the field; `code` has OpenAI's words, by
which clients recognize a full context, an unknown model, a wrong key or a busy server.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from z1.errors import ContextOverflow, EngineFault, UpstreamFault, UserError, Z1Error
from z1.serve.api.messages import MessagesRequest
from z1.serve.api.openai_format import error_body
from z1.serve.api.parameters import ASSISTANT_VALUES, STREAM_OPTION_VALUES
from z1.serve.api.responses import ResponsesRequest
from z1.serve.api.schema import ChatRequest, CompletionRequest, ControlRequest
from z1.serve.runtime.ledger_file import UnknownSession
from z1.serve.runtime.response import error_response, fault_response
from z1.serve.runtime.service import ServerBusy, UnknownModel
from z1.serve.runtime.sessions import SessionExhausted

ERROR_STATUS: tuple[tuple[type[Z1Error], int, str, str | None], ...] = (
    (ServerBusy, 429, "rate_limit_error", "rate_limit_exceeded"),
    (UnknownModel, 404, "not_found_error", "model_not_found"),
    (UnknownSession, 404, "not_found_error", "session_not_found"),
    (SessionExhausted, 403, "budget_exceeded", "session_budget_exhausted"),
    (ContextOverflow, 400, "invalid_request_error", "context_length_exceeded"),
    (UserError, 400, "invalid_request_error", None),
    (EngineFault, 503, "engine_error", None),
    (Z1Error, 503, "server_error", None),
)
"""Status, error type and code of an exception: the first row with its class."""

HTTP_CODES = {404: "unknown_url", 405: "method_not_supported", 413: "request_too_large"}
"""Codes of errors that no route has raised."""

DEFAULT_DETAILS = frozenset({"Method Not Allowed", "Not Found", "There was an error parsing the body"})
"""Texts of errors that FastAPI raises."""

BODIES = (ChatRequest, CompletionRequest, ControlRequest, MessagesRequest, ResponsesRequest)

FIELDS = frozenset(name for body in BODIES for name in body.model_fields)
"""Names with which the path of a field begins."""

NO_OPS = frozenset(name for body in BODIES for name in body.no_ops)

UNSUPPORTED = frozenset({*NO_OPS, *ASSISTANT_VALUES, *STREAM_OPTION_VALUES})
"""Names of fields that z1 knows and does not implement."""

UNKNOWN_FIELD = "unknown field; /docs lists the supported ones"
"""The complaint about any other field."""

MAX_SHOWN = 60
"""Characters of a rejected value that a message shows."""

FIELD_NAMES: Mapping[str, Mapping[str, str]] = {
    "/v1/chat": {"prompt": "messages"},
    "/v1/messages": {"prompt": "messages", "response_format": "output_config", "stop": "stop_sequences"},
    "/v1/responses": {
        **{"max_completion_tokens": "max_output_tokens", "messages": "input", "prompt": "input"},
        "response_format": "text",
    },
}
"""The names that fields of a chat request have in other APIs, by the beginning of the route."""

Proxy = Callable[[Request], Awaitable[Response | None]]
"""The upstream's response to a request that z1 rejects; None if z1 answers with the error."""


def add_error_handlers(app: FastAPI, max_model_len: Callable[[], int], proxy: Proxy) -> None:
    """Answer every exception of the routes of `app` in OpenAI's format. `max_model_len` is the context length."""

    def respond(
        request: Request, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Response:
        headers = {"Retry-After": "1"} if status == 429 else headers or {}
        return error_response(request.url.path, status, body, headers)

    @app.exception_handler(Z1Error)
    async def on_z1_error(request: Request, error: Z1Error) -> Response:
        if type(error) is UserError and (proxied := await proxy(request)) is not None:
            return proxied
        if isinstance(error, UpstreamFault):
            return fault_response(error, {}, request.url.path)
        if isinstance(error, UserError):
            error = with_field_names(error, request.url.path)
        status, kind, code = next(row[1:] for row in ERROR_STATUS if isinstance(error, row[0]))
        message = overflow_message(error, max_model_len()) if isinstance(error, ContextOverflow) else str(error)
        param = field_path(error) if isinstance(error, UserError) else None
        return respond(request, status, error_body(message, kind, param, code))

    @app.exception_handler(RequestValidationError)
    async def on_invalid_body(request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, dict) and (proxied := await proxy(request)) is not None:
            return proxied
        message, param = describe(error, request.headers.get("content-type"))
        return respond(request, 400, error_body(message, "invalid_request_error", param))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        body = http_error_body(request, error)
        return respond(request, error.status_code, body, error.headers)

    @app.exception_handler(Exception)
    async def on_defect(request: Request, __: Exception) -> Response:
        message = "the server has a defect; its log has the traceback"
        return respond(request, 500, error_body(message, "server_error", code="internal_error"))


def http_error_body(request: Request, error: HTTPException) -> dict[str, Any]:
    """The body of an HTTP error, such as an unknown route or method."""
    where = f"{request.method} {request.url.path[:200]}"
    messages = {
        400: "body: got text that is not valid JSON; send a JSON object",
        404: f"Invalid URL ({where}); /docs lists the routes",
        405: f"Not allowed to {request.method} on {request.url.path[:200]}; /docs lists the routes",
    }
    is_default = error.detail in DEFAULT_DETAILS
    message = messages.get(error.status_code, "") if is_default else str(error.detail)
    return error_body(message, "invalid_request_error", code=HTTP_CODES.get(error.status_code))


def overflow_message(error: ContextOverflow, max_model_len: int) -> str:
    """A full context in OpenAI's words, by which litellm knows it, and with the code, by which LangChain does."""
    head = f"This model's maximum context length is {max_model_len} tokens."
    rest = "Please reduce the length of the messages (context_length_exceeded)."
    return f"{head} However, your messages resulted in {error.got}. {rest}"


def with_field_names(error: UserError, url_path: str) -> UserError:
    """The error with the field's name in the API of the route; without a place in a list that the API does not have."""
    names = next((names for route, names in FIELD_NAMES.items() if url_path.startswith(route)), {})
    name = names.get(error.what.partition(".")[0])
    return error if name is None else type(error)(name, error.got, error.do)


def field_path(error: UserError) -> str | None:
    """The field of the request that the error is about; None if it is about none."""
    return error.what if error.what.partition(".")[0] in FIELDS else None


def describe(error: RequestValidationError, content_type: str | None) -> tuple[str, str | None]:
    """The message about an invalid body, and the path of the first field that is wrong."""
    if isinstance(error.body, bytes) and error.body:
        got = content_type or "nothing"
        return f"content-type: got {got[:MAX_SHOWN]}; send the header content-type: application/json", None
    first: Mapping[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = first["ctx"]["error"]
        return f"body: got invalid JSON ({reason} at character {first['loc'][1]}); send a JSON object", None
    param = _path(first["loc"][1:], error.body, is_missing=first["type"] == "missing")
    if not param:
        return f"body: got {_shown(error.body)}; send a JSON object", None
    return f"{param}: {_complaint(first, param)}", param


def _complaint(first: Mapping[str, Any], param: str) -> str:
    """What is wrong with the value of a field."""
    message = str(first["msg"])
    if first["type"] == "extra_forbidden":
        is_known = param.rpartition(".")[2] in UNSUPPORTED
        return "this server does not support it; leave it out" if is_known else UNKNOWN_FIELD
    if first["type"] == "missing":
        return "got nothing; it is required"
    if first["type"] == "value_error":
        return message.removeprefix("Value error, ")
    is_no_object = first["type"] == "model_attributes_type"
    expected = "it should be an object" if is_no_object else _EXPECTED.sub("it should", message)
    return f"got {_shown(first['input'])}; {expected.partition(' after validation')[0]}"


_EXPECTED = re.compile("^[A-Z][a-z]+ should")  # Input, String, List


def _path(location: tuple[Any, ...], body: Any, *, is_missing: bool) -> str:
    """The part of pydantic's location that leads through the body: it also names members of unions."""
    path: list[str] = []
    for number, part in enumerate(location, 1):
        is_inside = isinstance(body, list) and isinstance(part, int) and part < len(body)
        is_last = is_missing and number == len(location)
        if not is_inside and not (isinstance(body, dict) and (part in body or is_last)):
            continue
        path.append(str(part))
        body = body[part] if is_inside or part in body else None
    return ".".join(path)


def _shown(value: Any) -> str:
    """A rejected value, shortened."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = "" if value is None else " ".join(str(value).split())
    return (text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…") or "nothing"
