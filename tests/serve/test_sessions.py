"""Tests of sessions and usage through the routes: budgets, isolation, exhaustion, hostile values, restarts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.conftest import Served, chunks, serving
from tests.serve.runtime.test_proxy import ProxyEngine
from tests.serve.scripts import ASK, FORCED, HINT, next_token, scripted
from z1.engines.remote.connection import Upstream
from z1.engines.remote.engine import RemoteEngine
from z1.engines.scripted import Characters, ScriptedEngine
from z1.errors import UserError
from z1.serve.runtime.ledger_file import LedgerFile
from z1.serve.runtime.service import ServerLimits

KEYS = {"alice": "sesame", "bob": "barley"}


@pytest.fixture(scope="module")
def keyed() -> Iterator[Served]:
    with serving(scripted(), key="own", named_keys=KEYS) as server:
        yield server


def as_key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ledger(server: Served, session: str, **headers: str) -> dict[str, Any]:
    response = server.client.get(f"/v1/sessions/{session}", headers=headers)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_budget_lasts_over_turns_and_then_the_answer_follows(served: Served) -> None:
    session = {"id": "turns", "thinking_budget": 100}
    used = []
    for _ in range(3):
        reply = served.post(**ASK, session=session, thinking_budget=40).json()
        budget = reply["choices"][0]["budget"]
        used.append((budget["used"], budget["reason"], budget["session"]["left"]))
    assert used == [(40, "budget", 60), (40, "budget", 20), (20, "session", 0)]
    reply = served.post(**ASK, session={"id": "turns"}).json()
    (choice,) = reply["choices"]
    assert choice["message"]["content"] == HINT + FORCED
    assert (choice["budget"]["used"], choice["budget"]["reason"]) == (0, "session")
    assert reply["usage"]["completion_tokens"] == len(HINT) + len(FORCED) + 1
    found = ledger(served, "turns")
    assert (found["spent"], found["left"], found["held"], found["thinking_budget"]) == (100, 0, 0, 100)
    assert [turn["thinking_tokens"] for turn in found["turns"]] == [40, 40, 20, 0]
    last = found["turns"][-1]
    assert (last["number"], last["id"], last["reason"], last["end"]) == (4, reply["id"], "session", "stop")
    assert last["completion_tokens"] == reply["usage"]["completion_tokens"]
    page = served.get("/v1/sessions/turns?after=1&limit=2").json()
    assert ([turn["number"] for turn in page["turns"]], page["has_more"]) == ([2, 3], True)


def test_a_used_up_session_refuses_what_would_think(served: Served) -> None:
    session = {"id": "refusing", "thinking_budget": 10, "on_exhausted": "refuse"}
    assert served.post(**ASK, session=session).json()["choices"][0]["budget"]["reason"] == "session"
    for stream in (False, True):
        refused = served.post(**ASK, session={"id": "refusing"}, stream=stream)
        assert refused.status_code == 403
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("budget_exceeded", "session_budget_exhausted")
        assert "its 10 thinking tokens are used up" in error["message"]
    assert served.post(**ASK, session={"id": "refusing"}, thinking_budget=0).status_code == 200


def test_the_header_names_a_session_too(served: Served) -> None:
    def post(header: str, **body: Any) -> httpx.Response:
        return served.client.post("/v1/chat/completions", json={**ASK, **body}, headers={"X-Z1-Session": header})

    assert post("header; thinking_budget=30; on_exhausted=refuse", thinking_budget=20).status_code == 200
    assert post("header").json()["choices"][0]["budget"]["used"] == 10
    assert post("header").status_code == 403
    assert post("header", session={"id": "header", "thinking_budget": 30}).status_code == 403
    other = post("header", session={"id": "other"})
    assert other.status_code == 400 and "X-Z1-Session id: got header together with session.id other" in other.text


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ({"id": "fixed", "thinking_budget": 51}, "session.thinking_budget: got 51 for the session fixed; send 50"),
        ({"id": "fixed", "thinking_budget": -1}, "session.thinking_budget: got -1"),
        ({"id": "fixed", "on_exhausted": "refuse"}, "session.on_exhausted: got refuse"),
        ({"id": "unheard"}, "session.id: got the unknown or expired session unheard"),
        ({}, "session.id: got nothing"),
        ({"thinking_budget": 4}, "session.id: got nothing"),
        ({"id": ""}, "session.id"),
        ({"id": "a b", "thinking_budget": 4}, "session.id: got a b"),
        ({"id": "x\n", "thinking_budget": 4}, "session.id"),
        ({"id": "x" * 101, "thinking_budget": 4}, "session.id"),
        ({"id": "\ud800", "thinking_budget": 4}, "session.id: got a lone surrogate"),
        ({"id": 7, "thinking_budget": 4}, "session.id: got 7"),
        ({"id": "x", "thinking_budget": -2}, "session.thinking_budget: got -2"),
        ({"id": "x", "thinking_budget": 10**30}, "session.thinking_budget"),
        ({"id": "x", "thinking_budget": "5"}, "session.thinking_budget: got 5"),
        ({"id": "x", "thinking_budget": 5, "on_exhausted": "die"}, "session.on_exhausted: got die"),
        ({"id": "x", "thinking_budget": 5, "what": 1}, "session.what: unknown field"),
        ("x", "session: got x"),
        ([1], "session: got a list"),
    ],
)
def test_wrong_sessions_are_refused_by_name(served: Served, session: Any, message: str) -> None:
    assert served.post(**ASK, session={"id": "fixed", "thinking_budget": 50}, thinking_budget=0).status_code == 200
    body = json.dumps({**ASK, "session": session}).encode()
    reply = served.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400 and message in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"].startswith("session")


HOSTILE_HEADERS = [
    *(b"", b";", b"a b", b"\xff\xfe", b"a;b", b"a; thinking_budget", b"a; thinking_budget=", b"x" * 101),
    *(b"a; thinking_budget=9999999999999999999", b"a; thinking_budget=-2", b"a; thinking_budget=1.5"),
    *(b"a; on_exhausted=die", b"a; thinking_budget=\xb2", b"a'; DROP TABLE turn; --", b"a;" * 2000),
]


@pytest.mark.parametrize("header", HOSTILE_HEADERS)
def test_hostile_headers_are_refused(served: Served, header: bytes) -> None:
    reply = served.client.post("/v1/chat/completions", json=ASK, headers={b"X-Z1-Session": header})
    assert reply.status_code == 400 and reply.json()["error"]["message"].startswith("X-Z1-Session: got")


@pytest.mark.parametrize(
    "path",
    ["unknown", "%00", "%ff%fe", "a'%20OR%201=1", "x" * 3000, "a?after=-1", "a?limit=0", "a?limit=x", "a?after=9" * 9],
)
def test_hostile_ids_are_not_found(served: Served, path: str) -> None:
    assert served.get(f"/v1/sessions/{path}").status_code in (400, 404)


def test_a_session_belongs_to_its_key(keyed: Served) -> None:
    alice, bob = as_key("sesame"), as_key("barley")

    def post(headers: dict[str, str], **session: Any) -> httpx.Response:
        return keyed.client.post("/v1/chat/completions", json={**ASK, "session": session}, headers=headers)

    assert post(alice, id="s", thinking_budget=30).status_code == 200
    assert post(bob, id="s").status_code == 400  # unknown to bob
    for headers in (bob, as_key("own")):
        found = keyed.client.get("/v1/sessions/s", headers=headers)
        assert (found.status_code, found.json()["error"]["code"]) == (404, "session_not_found")
    assert post(bob, id="s", thinking_budget=20).json()["choices"][0]["budget"]["session"]["left"] == 0
    assert ledger(keyed, "s", **alice)["spent"] == 30 and ledger(keyed, "s", **bob)["spent"] == 20
    assert keyed.client.get("/v1/sessions/s").status_code == 401

    def usage(key: str) -> dict[str, int]:
        rows = keyed.client.get("/v1/usage", headers=as_key(key)).json()["data"]
        return {row["key"]: row["thinking_tokens"] for row in rows}

    assert (usage("sesame"), usage("barley")) == ({"alice": 30}, {"bob": 20})
    assert usage("own") == {"alice": 30, "bob": 20}
    text = keyed.client.get("/v1/usage?format=csv", headers=as_key("own")).text
    assert [row["key"] for row in csv.DictReader(io.StringIO(text))] == ["alice", "bob"]
    assert not any(key in text for key in ("sesame", "barley", "own"))


def test_200_parallel_requests_never_overspend() -> None:
    """Requests of every kind, n among them: the account is met to the token, and so are ledger and usage."""
    budget, limits = 3000, ServerLimits(max_concurrent_requests=1000)
    with serving(scripted(), limits=limits) as server:

        def send(number: int) -> list[dict[str, Any]]:
            session = {"id": "many", "thinking_budget": budget}
            body = {**ASK, "session": session, "n": number % 3 + 1, "stream": number % 2 == 0}
            response = server.client.post("/v1/chat/completions", json=body)
            assert response.status_code == 200, response.text
            parts = chunks(response.text.splitlines()) if body["stream"] else [response.json()]
            return [choice["budget"] for part in parts for choice in part["choices"] if "budget" in choice]

        with ThreadPoolExecutor(32) as pool:
            budgets = [one for found in pool.map(send, range(200)) for one in found]
        found = ledger(server, "many")
        assert all(one["session"]["spent"] <= budget for one in budgets)
        assert sum(one["used"] for one in budgets) == found["spent"] == budget
        assert found["held"] == 0 and len(found["turns"]) == len(budgets)
        assert sum(turn["thinking_tokens"] for turn in found["turns"]) == budget
        assert {turn["end"] for turn in found["turns"]} == {"stop"}
        cut = [one for one in budgets if one["reason"] == "session"]
        assert cut and all(one["answer_tokens"] for one in cut)
        (row,) = server.get("/v1/usage").json()["data"]
        sums = [sum(turn[name] for turn in found["turns"]) for name in ("hint_tokens", "answer_tokens")]
        assert [row[name] for name in ("thinking_tokens", "hint_tokens", "answer_tokens")] == [budget, *sums]
        assert (row["replies"], row["key"]) == (len(budgets), "none")


def test_a_client_that_disconnects_pays_what_was_generated() -> None:
    with serving(scripted(token_delay_s=0.005), limits=ServerLimits(stream_interval=0.0)) as server:
        body = {**ASK, "session": {"id": "gone", "thinking_budget": 50}, "stream": True, "return_token_ids": True}
        received = 0
        with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
            for line in response.iter_lines():
                received += len(json.loads(line[6:])["choices"][0].get("token_ids", [])) if line else 0
                if received > 5:
                    break
        assert server.idle()
        (turn,) = ledger(server, "gone")["turns"]
        assert turn["end"] == "aborted" and received <= turn["thinking_tokens"] < 50
        assert ledger(server, "gone")["spent"] == turn["thinking_tokens"]
        (row,) = server.get("/v1/usage").json()["data"]
        assert row["thinking_tokens"] == turn["thinking_tokens"]


def test_text_completions_have_sessions(served: Served) -> None:
    body = {"model": "scripted", "prompt": ["why?", "why?"], "session": {"id": "text", "thinking_budget": 70}}
    budgets = [one["budget"] for one in served.post("/v1/completions", **body, thinking_budget=50).json()["choices"]]
    assert sum(one["used"] for one in budgets) == 70
    plain = {"model": "scripted", "prompt": "why?", "session": {"id": "text"}, "max_tokens": 9}
    assert served.post("/v1/completions", **plain).json()["choices"][0]["budget"]["used"] == 0
    assert [turn["answer_tokens"] for turn in ledger(served, "text")["turns"]][-1] == 9
    assert ledger(served, "text")["spent"] == 70


def test_sessions_and_usage_survive_a_restart(tmp_path: Path) -> None:
    path, session = tmp_path / "ledger.sqlite", {"id": "kept", "thinking_budget": 60}
    seen = []
    for _ in range(2):
        with serving(scripted(), ledger=LedgerFile(path)) as server:
            seen.append(server.post(**ASK, session=session, thinking_budget=40).json()["choices"][0]["budget"])
            found, (row,) = ledger(server, "kept"), server.get("/v1/usage").json()["data"]
    assert [one["used"] for one in seen] == [40, 20]
    assert (found["spent"], [turn["number"] for turn in found["turns"]]) == (60, [1, 2])
    assert (row["replies"], row["thinking_tokens"]) == (2, 60)


@pytest.mark.parametrize("has_token_ids", [True, False])
def test_a_remote_engine_keeps_a_session_exactly(has_token_ids: bool) -> None:
    """Each part of a thought is a request to the upstream; one that is cut in the middle is cut to the token."""
    with serving(scripted()) as upstream:
        given = Upstream(f"{upstream.url}/v1", "scripted", has_token_ids=has_token_ids, has_windows=False)
        engine = RemoteEngine(given, Characters(), ("scripted", "z1-tiny"))
        with serving(engine, limits=ServerLimits(max_concurrent_requests=100)) as server:
            session = {"id": "remote", "thinking_budget": 150}

            def send(number: int) -> list[int]:
                reply = server.post(**ASK, session=session, n=2, thinking_budget=10 * number)
                return [choice["budget"]["used"] for choice in reply.json()["choices"]]

            with ThreadPoolExecutor(6) as pool:
                used = [one for found in pool.map(send, range(1, 7)) for one in found]
            assert sum(used) == ledger(server, "remote")["spent"] == 150
            (choice,) = server.post(**ASK, session=session).json()["choices"]
            assert choice["message"]["content"] == HINT + FORCED


def test_a_request_with_a_session_is_not_proxied() -> None:
    """The upstream would not count its tokens."""
    tools: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    with serving(ProxyEngine(windows=True)) as server:
        assert server.post(**ASK, **tools).status_code == 418
        assert server.post(**ASK, **tools, thinking_budget=5).status_code == 418
        session = {"id": "s", "thinking_budget": 5}
        for headers, body in (({}, {"session": session}), ({"X-Z1-Session": "s; thinking_budget=5"}, {})):
            reply = server.client.post("/v1/chat/completions", json={**ASK, **tools, **body}, headers=headers)
            assert reply.status_code == 400 and reply.json()["error"]["param"] == "tools"


def test_a_host_that_keeps_budgets_has_no_sessions() -> None:
    class Host(ScriptedEngine):
        is_chat_only = True

        def check_settings(self, budget: int | None, cuts: list[str], *, has_thinking: bool) -> None:
            if cuts:
                raise UserError(cuts[0], "a setting that cuts the thought", "leave it out")

    with serving(Host(next_token)) as server:
        for headers, body in (({}, {"session": {"id": "s", "thinking_budget": 5}}), ({"X-Z1-Session": "s"}, {})):
            reply = server.client.post("/v1/chat/completions", json={**ASK, **body}, headers=headers)
            assert reply.status_code == 400 and reply.json()["error"]["param"] == "session"
