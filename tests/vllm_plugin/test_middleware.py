"""The middleware changes bodies, counts, and passes on everything else byte for byte, also after an exception."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

import z1.vllm_plugin.middleware as module
from z1.vllm_plugin.counters import EngineCounters, engine_folder
from z1.vllm_plugin.middleware import Message, Receive, RequestMiddleware, Scope, Send

CHAT = "/v1/chat/completions"
ASK = b'{ "model":"m",  "messages": [], "max_tokens": 900 }'
DEFAULT = "[models.m]\nthinking_budget = 300\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body that it got and its declared length."""
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message.get("more_body"):
            break
    length = dict(scope["headers"]).get(b"content-length", b"none")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"got-length", length)]})
    await send({"type": "http.response.body", "body": b"".join(parts)})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "z1.toml"
    path.write_text(DEFAULT, "utf-8")
    monkeypatch.setenv("Z1_VLLM_CONFIG", str(path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return path


def post(app: Any, path: str, body: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://vllm") as client:
            return await client.post(path, content=body)

    response = asyncio.run(send())
    if isinstance(body, bytes):
        assert int(response.headers["got-length"]) == len(response.content)
    return response


def counted(decision: str, model: str = "m") -> float:
    return REGISTRY.get_sample_value("z1_plugin_requests_total", {"model": model, "decision": decision}) or 0.0


def errors(where: str) -> float:
    return REGISTRY.get_sample_value("z1_plugin_errors_total", {"where": where}) or 0.0


def test_a_request_of_an_unchanged_client_gets_the_default_and_is_counted(settings: Path) -> None:
    app, before = RequestMiddleware(echo), counted("default")
    for path in (CHAT, "/v1/messages", "/v1/responses"):
        changed = json.loads(post(app, path, ASK).content)
        assert changed == {**json.loads(ASK), "vllm_xargs": {"z1_thinking_budget": 300, "z1_optional": 1}}
    assert counted("default") == before + 3


def test_a_body_in_pieces_is_read_whole(settings: Path) -> None:
    async def pieces() -> Any:
        for at in range(0, len(ASK), 7):
            yield ASK[at : at + 7]

    assert b"z1_thinking_budget" in post(RequestMiddleware(echo), CHAT, pieces()).content


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b'{"a": 1} x', b"\xff\xfe", ASK.replace(b'"m"', b'"o"')])
def test_what_is_not_changed_is_passed_on_byte_for_byte(settings: Path, body: bytes) -> None:
    app = RequestMiddleware(echo)
    assert post(app, CHAT, body).content == body
    assert post(app, "/tokenize", ASK).content == ASK


def test_the_kill_switch_needs_no_restart(settings: Path) -> None:
    app = RequestMiddleware(echo)
    assert post(app, CHAT, ASK).content != ASK
    settings.write_text("enabled = false\n" + DEFAULT, "utf-8")
    assert post(app, CHAT, ASK).content == ASK
    settings.write_text(DEFAULT, "utf-8")
    assert post(app, CHAT, ASK).content != ASK


def test_a_thousand_requests_with_a_planted_exception_are_passed_on_and_counted(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("planted")

    app, before = RequestMiddleware(echo), errors("middleware")
    monkeypatch.setattr(module, "rewrite", broken)

    async def send() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://vllm") as client:
            return sum([(await client.post(CHAT, content=ASK)).content == ASK for _ in range(1000)])

    assert asyncio.run(send()) == 1000
    assert errors("middleware") == before + 1000


def test_a_deep_body_is_passed_on(settings: Path) -> None:
    deep = b'{"model": "m", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert post(RequestMiddleware(echo), CHAT, deep).content == deep


def test_a_client_that_disconnects_is_reported_to_vllm(settings: Path) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not seen or seen[-1] != "http.disconnect":
            seen.append((await receive())["type"])

    messages: list[Message] = [
        {"type": "http.request", "body": ASK[:9], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: Message) -> None:
        raise AssertionError("nothing to send")

    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
    asyncio.run(RequestMiddleware(app)(scope, receive, send))
    assert seen == ["http.request", "http.disconnect"]


def test_metrics_include_the_counts_of_the_engines_processes(settings: Path) -> None:
    """And the folder with their files is removed when the server ends."""
    config = SimpleNamespace(instance_id="q1w2e")
    folder = engine_folder("q1w2e")
    assert folder is not None
    counters, before = EngineCounters(folder), errors("test_middleware")
    counters.add("errors", "test_middleware")
    seen: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(errors("test_middleware"))

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    async def use() -> None:
        middleware = RequestMiddleware(app)
        state = SimpleNamespace(state=SimpleNamespace(vllm_config=config))
        for path in ("/metrics", "/metrics/"):
            await middleware({"type": "http", "method": "GET", "path": path, "app": state}, nothing, nothing)
        await middleware({"type": "http", "method": "GET", "path": "/metrics"}, nothing, nothing)
        await middleware({"type": "lifespan"}, nothing, nothing)

    asyncio.run(use())
    assert seen == [before + 1] * 4
    assert not folder.exists()
    counters.close()


def test_the_folder_is_removed_even_if_nobody_read_the_metrics(settings: Path) -> None:
    folder = engine_folder("r4t5z")
    assert folder is not None
    (folder / "123.db").write_bytes(b"of an engine that was killed")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Starts and ends, as vLLM's does."""
        del scope["app"].state

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    state = SimpleNamespace(state=SimpleNamespace(vllm_config=SimpleNamespace(instance_id="r4t5z")))
    asyncio.run(RequestMiddleware(app)({"type": "lifespan", "app": state}, nothing, nothing))
    assert not folder.exists()


def test_settings_that_are_not_valid_stop_the_start(settings: Path) -> None:
    settings.write_text("enabled = 7 of 9", "utf-8")
    with pytest.raises(Exception, match="give a TOML file"):
        RequestMiddleware(echo)
