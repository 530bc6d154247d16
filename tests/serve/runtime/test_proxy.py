"""Is a request that z1 has no hand in handed on as it came, and no other?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.serve.conftest import serving
from tests.serve.scripts import ASK, THOUGHT, says
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault
from z1.serve.api.request_parser import RequestDefaults

TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}


@dataclass
class Said:
    status: int
    kind: str
    pieces: AsyncIterator[bytes]


class Proxy(ScriptedEngine):
    """Stands for another server, which answers what it was sent."""

    capabilities = replace(ScriptedEngine.capabilities, has_logprobs=False)

    def __init__(self, profile: str = "z1-tiny", *, windows: bool = False) -> None:
        super().__init__(says, profile=profile)
        self.windows = windows
        self.heard: list[tuple[str, Any]] = []
        self.left = asyncio.Event()

    def window(self, body: Mapping[str, Any], *asked: Any) -> Mapping[str, Any] | None:
        return {**body, "window": list(asked)} if self.windows else None

    @asynccontextmanager
    async def proxy_request(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Said]:
        if body.get("user") == "nobody":
            raise EngineFault("the upstream is away")
        self.heard.append((path, body))
        try:
            yield Said(418, "text/event-stream" if body.get("stream") else "application/json", self._pieces(body))
        finally:
            self.left.set()

    async def _pieces(self, body: Mapping[str, Any]) -> AsyncIterator[bytes]:
        yield b'{"echo":'
        yield json.dumps(body).encode() + b"}"
        if body.get("user") == "breaks":
            raise EngineFault("it broke off")
        if body.get("user") == "waits":
            await asyncio.sleep(600)


@pytest.mark.parametrize(
    "body", [TOOLS, {"logprobs": True}, {"grammar": "x"}, {"messages": [{"role": "tool", "content": "x"}]}]
)
def test_what_z1_cannot_keep_is_handed_on_to_the_byte(body: dict[str, Any]) -> None:
    engine = Proxy()
    with serving(engine) as one:
        reply = one.post(**{**ASK, **body})
        assert one.idle()
    assert (reply.status_code, reply.headers["content-type"]) == (418, "application/json")
    assert reply.json() == {"echo": {**ASK, **body}}
    assert engine.heard == [("/chat/completions", {**ASK, **body})]


def test_a_budget_beside_it_is_refused_since_nobody_would_keep_it() -> None:
    engine = Proxy()
    with serving(engine) as one:
        for asked in ({"thinking_budget": 5}, {"reasoning_effort": "low"}, {"deadline_ms": 5}, {"answer_tokens": 5}):
            assert "tools: this server cannot keep it" in one.post(**{**ASK, **TOOLS, **asked}).text
        assert one.post(**{**ASK, **TOOLS, "model": "other"}).status_code == 400
    with serving(engine, RequestDefaults(thinking_budget=5)) as one:
        assert one.post(**{**ASK, **TOOLS}).status_code == 400
    assert not engine.heard


@pytest.mark.parametrize(
    ("asked", "window"),
    [
        ({"thinking_budget": 5}, [5, None, None]),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}, "answer_tokens": 9}, [5, 9, None]),
        ({"reasoning_effort": "low", "hint": "so:"}, [1024, None, "so:</think>"]),
        ({"chat_template_kwargs": {"enable_thinking": False}}, [0, None, None]),
        ({"answer_tokens": 9}, [77, 9, None]),
        ({"thinking_budget": -1}, [None, None, None]),
        ({}, [77, None, None]),
    ],
)
def test_an_upstream_that_keeps_windows_is_told_the_budget(asked: dict[str, Any], window: list[Any]) -> None:
    engine = Proxy("qwen3", windows=True)
    with serving(engine, RequestDefaults(thinking_budget=77)) as one:
        assert one.post(**ASK, **TOOLS, **asked).status_code == 418
        assert one.post(**ASK, **asked, max_tokens=900).status_code == 200
    assert engine.heard == [("/chat/completions", {**ASK, **TOOLS, "window": window})]


@pytest.mark.parametrize(
    "asked",
    [
        {"deadline_ms": 5},
        {"thinking_budget": 5, "policy": {"stable": 2}},
        {"thinking_budget": 5, "reasoning": {"exclude": True}},
        {"thinking_budget": "5"},
        {"thinking_budget": 5, "max_thinking_tokens": 6},
    ],
)
def test_what_even_such_an_upstream_does_not_keep_is_refused(asked: dict[str, Any]) -> None:
    engine = Proxy("qwen3", windows=True)
    with serving(engine) as one:
        assert one.post(**ASK, **TOOLS, **asked).status_code == 400
    assert not engine.heard


def test_a_family_that_thinks_is_z1s_and_one_that_does_not_is_the_upstreams_unless_it_is_to_think() -> None:
    with serving(Proxy()) as one:
        assert one.post(**ASK).json()["choices"][0]["message"]["content"].startswith(THOUGHT)
        assert one.post("/v1/completions", model="scripted", prompt="why?").status_code == 418
    with serving(Proxy("plain")) as one:
        assert one.post(**ASK).status_code == 418
        assert one.post(**ASK, thinking_budget=5).json()["choices"][0]["budget"]["used"] == 5


def test_an_upstream_that_fails_says_so() -> None:
    with serving(Proxy()) as one:
        away = one.post(**ASK, **TOOLS, user="nobody")
        assert (away.status_code, away.json()["error"]["message"]) == (503, "the upstream is away")
        broken = one.post(**ASK, **TOOLS, user="breaks", stream=True).text.split("\n\n")
        assert '"message":"it broke off"' in broken[-3]
        assert broken[-2] == "data: [DONE]"
        assert one.idle()


def test_a_client_that_goes_away_closes_the_upstreams_stream() -> None:
    engine = Proxy()
    with serving(engine) as one:
        body = {**ASK, **TOOLS, "user": "waits", "stream": True}
        with one.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            pieces = reply.iter_raw()
            assert next(pieces)
        assert one.idle()
        assert engine.left.is_set()
