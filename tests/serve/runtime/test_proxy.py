"""Tests of z1.serve.runtime.proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.serve.conftest import Served, serving
from tests.serve.scripts import ASK, THOUGHT, next_token
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.serve.api.openai_format import COMMENT
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.runtime import proxy
from z1.serve.runtime.ledger_file import LedgerFile

TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}


@dataclass
class Response:
    status: int
    media_type: str
    chunks: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


class ProxyEngine(ScriptedEngine):
    """An engine whose upstream echoes each request."""

    capabilities = replace(ScriptedEngine.capabilities, has_logprobs=False)

    def __init__(self, profile: str = "z1-tiny", *, windows: bool = False) -> None:
        super().__init__(next_token, profile=profile)
        self.windows = windows
        self.requests: list[tuple[str, Any]] = []
        self.is_closed = asyncio.Event()

    def request_with_budget(self, body: Mapping[str, Any], *budget: Any) -> Mapping[str, Any] | None:
        return {**body, "window": list(budget)} if self.windows else None

    @asynccontextmanager
    async def proxy_request(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Response]:
        if body.get("user") == "down":
            raise EngineFault("the upstream is down")
        self.requests.append((path, body))
        try:
            headers = {"retry-after": "7", "x-ratelimit-limit-tokens": "9"} if body.get("user") == "limited" else {}
            media_type = "text/event-stream" if body.get("stream") else "application/json"
            status = 200 if body.get("user") in ("counted", "waits") else 418
            yield Response(status, media_type, self._chunks(body), headers)
        finally:
            self.is_closed.set()

    async def _chunks(self, body: Mapping[str, Any]) -> AsyncIterator[bytes]:
        if body.get("user") == "counted":
            usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 9}}
            yield b'data: {"choices":[{}]}\n\ndata: ' if body.get("stream") else b""
            yield json.dumps({"choices": [], **usage}).encode()
            yield b"\n\ndata: [DONE]\n\n" if body.get("stream") else b""
            return
        yield b'{"echo":'
        yield json.dumps(body).encode() + b"}"
        if body.get("user") == "breaks":
            raise EngineFault("it broke off")
        if body.get("user") == "waits":
            yield b"\n\n"
            await asyncio.sleep(600)


@pytest.mark.parametrize(
    "body", [TOOLS, {"logprobs": True}, {"grammar": "x"}, {"messages": [{"role": "tool", "content": "x"}]}]
)
def test_unsupported_requests_are_proxied_byte_for_byte(body: dict[str, Any]) -> None:
    engine = ProxyEngine()
    with serving(engine) as server:
        reply = server.post(**{**ASK, **body})
        assert server.idle()
    assert (reply.status_code, reply.headers["content-type"]) == (418, "application/json")
    assert reply.json() == {"echo": {**ASK, **body}}
    assert engine.requests == [("/chat/completions", {**ASK, **body})]


def test_a_budget_beside_an_unsupported_feature_is_rejected() -> None:
    engine = ProxyEngine()
    with serving(engine) as server:
        for fields in ({"thinking_budget": 5}, {"reasoning_effort": "low"}, {"deadline_ms": 5}, {"answer_tokens": 5}):
            assert "this server does not support it" in server.post(**{**ASK, **TOOLS, **fields}).text
        assert server.post(**{**ASK, **TOOLS, "model": "other"}).status_code == 404
    with serving(engine, RequestDefaults(thinking_budget=5)) as server:
        assert server.post(**{**ASK, **TOOLS}).status_code == 400
    assert not engine.requests


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({"thinking_budget": 5}, [5, None, None, None]),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}, "answer_tokens": 9}, [5, 9, None, None]),
        ({"reasoning_effort": "low", "hint": "so:"}, [1024, None, "so:</think>", None]),
        ({"chat_template_kwargs": {"enable_thinking": False}}, [0, None, None, None]),
        ({"answer_tokens": 9}, [77, 9, None, None]),
        ({"thinking_budget": -1}, [None, None, None, None]),
        ({}, [77, None, None, None]),
        ({"thinking_budget": 5, "answer_kind": "code"}, [5, None, None, "code"]),
        ({"answer_kind": "text"}, [77, None, None, None]),
    ],
)
def test_a_budget_is_translated_for_an_upstream_that_enforces_windows(
    fields: dict[str, Any], budget: list[Any]
) -> None:
    engine = ProxyEngine("qwen3", windows=True)
    with serving(engine, RequestDefaults(thinking_budget=77)) as server:
        assert server.post(**ASK, **TOOLS, **fields).status_code == 418
        assert server.post(**ASK, **fields, max_tokens=900).status_code == 200
    assert engine.requests == [("/chat/completions", {**ASK, **TOOLS, "window": budget})]


@pytest.mark.parametrize(
    "fields",
    [
        {"deadline_ms": 5},
        {"thinking_budget": 5, "policy": {"stable": 2}},
        {"thinking_budget": 5, "reasoning": {"exclude": True}},
        {"thinking_budget": "5"},
        {"thinking_budget": 5, "max_thinking_tokens": 6},
    ],
)
def test_settings_that_only_z1_supports_are_rejected(fields: dict[str, Any]) -> None:
    engine = ProxyEngine("qwen3", windows=True)
    with serving(engine) as server:
        assert server.post(**ASK, **TOOLS, **fields).status_code == 400
    assert not engine.requests


def test_requests_without_thinking_are_proxied() -> None:
    with serving(ProxyEngine()) as server:
        assert server.post(**ASK).json()["choices"][0]["message"]["content"].startswith(THOUGHT)
        assert server.post("/v1/completions", model="scripted", prompt="why?").status_code == 418
    with serving(ProxyEngine("plain")) as server:
        assert server.post(**ASK).status_code == 418
        assert server.post(**ASK, thinking_budget=5).json()["choices"][0]["budget"]["used"] == 5


def test_a_failed_upstream_is_reported() -> None:
    with serving(ProxyEngine()) as server:
        down = server.post(**ASK, **TOOLS, user="down")
        assert (down.status_code, down.json()["error"]["message"]) == (503, "the upstream is down")
        broken = server.post(**ASK, **TOOLS, user="breaks", stream=True).text.split("\n\n")
        assert '"message":"it broke off"' in broken[-3]
        assert broken[-2] == "data: [DONE]"
        assert server.idle()


def test_a_disconnect_closes_the_upstreams_stream() -> None:
    engine = ProxyEngine()
    with serving(engine) as server:
        body = {**ASK, **TOOLS, "user": "waits", "stream": True}
        with server.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            chunks = reply.iter_raw()
            assert next(chunks)
        assert server.idle()
        assert engine.is_closed.is_set()


def test_no_proxied_request_passes_the_ceiling() -> None:
    ceiling = RequestDefaults(max_thinking_budget=9, served_model_names=("scripted", "deep"), model_budgets={"deep": 5})
    engine = ProxyEngine("qwen3", windows=True)
    with serving(engine, ceiling) as server:
        for model, fields in (
            ("scripted", {}),
            ("scripted", {"thinking_budget": -1}),
            ("deep", {}),
            ("deep", {"think": True}),
        ):
            assert server.post(**{**ASK, **TOOLS, **fields, "model": model}).status_code == 418
    assert [body["window"][0] for _, body in engine.requests] == [9, 9, 5, 5]
    for profile in ("qwen3", "plain"):
        engine = ProxyEngine(profile)
        with serving(engine, ceiling) as server:
            assert server.post(**ASK, **TOOLS).status_code == 400
            assert server.post(**ASK).status_code == 200
        assert not engine.requests


def test_a_stream_that_is_passed_on_survives_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """vllm 47647, LostRuins/koboldcpp 1168: comments between events, and nginx does not collect the stream."""
    monkeypatch.setattr(proxy, "COMMENT_INTERVAL", 0.02)
    engine = ProxyEngine()
    with serving(engine) as server:
        body = {**ASK, **TOOLS, "user": "waits", "stream": True}
        with server.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            assert reply.headers["x-accel-buffering"] == "no"
            text = b""
            for chunk in reply.iter_raw():
                text += chunk
                if text.endswith(COMMENT * 2):
                    break
        assert text.startswith(b'{"echo":') and text.count(b"}\n\n") == 1
        assert server.idle()


def test_proxied_replies_are_in_the_usage_of_their_key(tmp_path: Path) -> None:
    """Counted by the upstream, in the file before the client has the reply; refused requests are no replies."""
    keys = {"alice": "sesame", "bob": "barley"}
    body = {**ASK, **TOOLS, "user": "counted"}

    def usage(server: Served) -> list[tuple[Any, ...]]:
        rows = server.client.get("/v1/usage", headers={"x-api-key": "own"}).json()["data"]
        names = ("key", "replies", "prompt_tokens", "answer_tokens", "uncounted_replies")
        return [tuple(row[name] for name in names) for row in rows]

    expected = [("alice", 1, 7, 9, 0), ("bob", 2, 7, 9, 1)]
    engine = ProxyEngine()
    with serving(engine, key="own", named_keys=keys, ledger=LedgerFile(tmp_path / "ledger")) as server:
        alice, bob = ({"x-api-key": key} for key in keys.values())
        server.client.post("/v1/chat/completions", json=body, headers=alice)
        text = server.client.post("/v1/chat/completions", json={**body, "stream": True}, headers=bob).text
        assert text == 'data: {"choices":[{}]}\n\ndata: [DONE]\n\n'
        assert engine.requests[-1][1]["stream_options"] == {"include_usage": True}
        waiting = {**body, "user": "waits", "stream": True}
        with server.client.stream("POST", "/v1/chat/completions", json=waiting, headers=bob):
            pass
        assert server.idle()
        for user in ("down", "limited"):
            server.client.post("/v1/chat/completions", json={**body, "user": user}, headers=bob)
        assert usage(server) == expected
    with serving(ProxyEngine(), key="own", ledger=LedgerFile(tmp_path / "ledger")) as server:
        assert usage(server) == expected


def test_headers_of_the_upstream_that_clients_need_are_passed_on() -> None:
    engine = ProxyEngine()
    with serving(engine) as server:
        reply = server.post(**ASK, **TOOLS, user="limited")
        assert (reply.headers["retry-after"], reply.headers["x-ratelimit-limit-tokens"]) == ("7", "9")
