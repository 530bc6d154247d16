"""HTTP to an upstream: requests, server-sent events, and errors as faults.

The key goes to the upstream's own host only: no redirect is followed. Only connecting is retried; a request that may
have started is never sent twice. An error keeps the upstream's status, code and `Retry-After`; its words are shortened
and redacted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from z1.engines.remote.redaction import REMOVED, redact, short_line
from z1.errors import EngineFault, UpstreamFault, UserError
from z1.think.answer_detector import overlap

CONNECT_ATTEMPTS = 3
"""Attempts to connect."""

DONE: dict[str, Any] = {"choices": [{"finish_reason": "stop"}]}
"""The event that stands for [DONE]; it ends a reply whose upstream said nothing else."""

MAX_EVENT_BYTES = 8 << 20
"""The largest event, or whole response, that is read."""

ERROR_BODY_S = 5.0
"""Seconds that the words of an error are waited for."""

PASSED_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
"""Headers of a proxied response that reach the client, with all of `x-ratelimit-`."""

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""OpenAI's `type` of a status, where the upstream says none."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream server: its URL up to /v1, its name of the model (None: the first), an API key if it needs one.

    `max_model_len`: context length in tokens (None: as the upstream reports). `has_token_ids`: whether it accepts and
    returns token ids. `has_windows`: whether it enforces thinking budgets itself (vLLM with `z1.vllm_plugin`). None
    probes the upstream. A request fails after `timeout_s` without a byte. `api`: the route that generates; with "chat",
    `host` names a row of `hosts.HOSTS` (None: by the URL).
    """

    url: str
    model: str | None = None
    api_key: str | None = None
    max_model_len: int | None = None
    has_token_ids: bool | None = None
    has_windows: bool | None = None
    timeout_s: float = 600.0
    api: Literal["completions", "chat"] = "completions"
    host: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError("upstream URL", redact(self.url), "give http://HOST:PORT/v1 or https://HOST/v1")
        if parts.username or parts.password:
            raise UserError("upstream URL", redact(self.url), "leave the password out; give the key by itself")


@dataclass(frozen=True, slots=True)
class RemoteResponse:
    """The upstream's response to a proxied request: status, media type, the headers to pass on, the body in chunks."""

    status: int
    media_type: str
    chunks: AsyncIterator[bytes]
    headers: Mapping[str, str]


class Connection:
    """A pool of connections to one upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._secrets = (upstream.api_key or "",)
        self.url = upstream.url.rstrip("/")
        headers = {"accept-encoding": "identity"}  # compressed events would wait for their block to fill
        if upstream.api_key:
            headers["authorization"] = f"Bearer {upstream.api_key}"
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(
                retries=CONNECT_ATTEMPTS - 1, limits=httpx2.Limits(max_connections=None)
            ),
            timeout=httpx2.Timeout(upstream.timeout_s),
            headers=headers,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def fetch(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a whole response. Raises EngineFault."""
        async with self._request(method, path, body) as response:
            return _parse(await _read_all(response), f"{path} of the upstream", response)

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Any]]:
        """The events of a streamed response, parsed. Leaving the context closes the stream. Raises EngineFault."""
        async with self._request("POST", path, body) as response:
            yield self._events(response)

    @asynccontextmanager
    async def proxy(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[RemoteResponse]:
        """The response to `body`, unchanged; an error has a client's status and no secrets."""
        request = self._client.build_request("POST", self.url + path, json=dict(body))
        async with self._send(request) as response:
            media_type = response.headers.get("content-type", "application/json")
            passed = {
                name: value
                for name, value in response.headers.items()
                if name in PASSED_HEADERS or name.startswith("x-ratelimit-")
            }
            if response.is_success:
                yield RemoteResponse(response.status_code, media_type, self._bytes(response), passed)
            elif response.status_code < 400:
                raise self._status_fault(response, b"")
            else:
                status = client_status(response.status_code)
                yield RemoteResponse(status, media_type, self._redacted(response), passed)

    @asynccontextmanager
    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> AsyncIterator[httpx2.Response]:
        request = self._client.build_request(method, self.url + path, json=None if body is None else dict(body))
        async with self._send(request) as response:
            if not response.is_success:
                raise self._status_fault(response, await _read_all(response, partial=True))
            yield response

    @asynccontextmanager
    async def _send(self, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
        response: httpx2.Response | None = None
        try:
            response = await self._client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            if response is not None:
                raise UpstreamFault(f"the upstream broke off its response: {self._describe(error)}") from error
            raise EngineFault(f"the upstream failed: {self._describe(error)}") from error

    def _describe(self, error: Exception) -> str:
        words = short_line(str(error), self._secrets)
        return f"{type(error).__name__}: {words}" if words else type(error).__name__

    async def _bytes(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """The body as it is, without the key; bytes that may begin the key wait for those after them."""
        key, held = self._secrets[0].encode(), b""
        async for chunk in response.aiter_bytes():
            data = (held + chunk).replace(key, REMOVED.encode()) if key else chunk
            size = len(data) - (overlap(data, key) if key else 0)
            data, held = data[:size], data[size:]
            if data:
                yield data
        if held:
            yield held

    async def _redacted(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        yield redact((await _read_all(response, partial=True)).decode("utf-8", "replace"), self._secrets).encode()

    def _status_fault(self, response: httpx2.Response, body: bytes) -> UpstreamFault:
        """The fault of a response with an error status."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = body.decode("utf-8", "replace")
        status = response.status_code
        if target := response.headers.get("location"):
            value = f"it redirects to {target}; name that server as the upstream"
        return error_fault(
            f"the upstream answered {status}", value, status, response.headers.get("retry-after"), self._secrets
        )

    async def _events(self, response: httpx2.Response) -> AsyncIterator[Any]:
        """The JSON of each event up to [DONE]; the one value of a response that is not streamed."""
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "application/json":
            yield self._checked(_parse(await _read_all(response), "the upstream", response))
            return
        count, data = 0, ""
        async for line in _lines(response):
            field, _, value = line.partition(":")
            if field == "data":
                data += value
                if data.strip() == "[DONE]":
                    yield DONE
                    return
                if (event := _json_or_none(data)) is not None:
                    count, data = count + 1, ""
                    yield self._checked(event)
            elif not line and data.strip():
                raise EngineFault(f"the upstream sent an event that is not JSON: {short_line(data, self._secrets)!r}")
        if not count:
            raise EngineFault(f"the upstream sent no events (content type {media_type or 'missing'})")

    def _checked(self, event: Any) -> Any:
        """`event`, unless it reports an error."""
        if not isinstance(event, dict):
            raise EngineFault(f"the upstream sent {short_line(json.dumps(event), self._secrets)!r} as an event")
        if event.get("error") or event.get("object") == "error":
            raise error_fault("the upstream ended the reply with an error", event, None, None, self._secrets)
        return event


def client_status(status: int) -> int:
    """The status for a client when the upstream answers with an error `status`; a fault there is no 500 of z1."""
    return status if 400 <= status < 500 or status in (503, 504, 529) else 502


def error_fault(
    what: str, value: Any, status: int | None, retry_after: str | None, secrets: tuple[str, ...]
) -> UpstreamFault:
    """The fault for an upstream's error `value`, in any of the shapes that servers use."""
    error = value.get("error") if isinstance(value, dict) else None
    error = error if isinstance(error, dict) else value if isinstance(value, dict) else {}
    words = next((error[name] for name in ("message", "detail", "error", "msg") if error.get(name)), None)
    if words is None:
        words = value if isinstance(value, str) else ""
    line = short_line(words if isinstance(words, str) else json.dumps(words), secrets)
    code, kind = error.get("code"), error.get("type")
    if status is None:
        status = code if isinstance(code, int) and not isinstance(code, bool) else 502
    passed = client_status(status)
    return UpstreamFault(
        f"{what}: {line}" if line else what,
        passed,
        short_line(kind, secrets) if isinstance(kind, str) and kind else KINDS.get(passed, ""),
        short_line(code, secrets) if isinstance(code, str) and code else None,
        retry_after if retry_after and retry_after.isascii() and len(retry_after) < 64 else None,
    )


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    """The lines of a stream, split at line feeds only: JSON may have other line breaks of Unicode."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r").decode("utf-8", "replace")
        if len(rest) > MAX_EVENT_BYTES:
            raise EngineFault(f"the upstream sent an event of more than {MAX_EVENT_BYTES} bytes")
    yield rest.rstrip(b"\r").decode("utf-8", "replace")
    yield ""


async def _read_all(response: httpx2.Response, *, partial: bool = False) -> bytes:
    """The body of at most `MAX_EVENT_BYTES`; with `partial` the beginning of one that is larger, slow or broken."""
    body = b""
    try:
        async with asyncio.timeout(ERROR_BODY_S if partial else None):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_EVENT_BYTES:
                    raise EngineFault(f"the upstream sent more than {MAX_EVENT_BYTES} bytes")
    except (httpx2.HTTPError, TimeoutError, EngineFault):
        if not partial:
            raise
    return body


def _parse(body: bytes, what: str, response: httpx2.Response) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        media_type = response.headers.get("content-type", "no content type")
        raise EngineFault(f"{what} answered with {short_line(media_type)}, not JSON; the URL must end in /v1") from None


def _json_or_none(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
