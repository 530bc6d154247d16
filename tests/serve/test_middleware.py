"""Tests of z1.serve.middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.serve.conftest import Served, serving
from tests.serve.scripts import ASK, scripted
from z1.serve.middleware import AdmissionThrottle
from z1.serve.runtime.service import ServerLimits


def test_every_route_but_health_requires_the_key() -> None:
    with serving(scripted(), key="opensesame") as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer opensesame2"}):
            reply = server.client.post("/v1/chat/completions", json=ASK, headers=headers)
            assert (reply.status_code, reply.json()["error"]["type"]) == (401, "authentication_error")
        assert server.get("/metrics").status_code == 401
        assert server.get("/openapi.json").status_code == 401
        assert server.get("/health").status_code == 200
        right = {"Authorization": "Bearer opensesame"}
        assert server.client.post("/v1/chat/completions", json=ASK, headers=right).status_code == 200


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    with serving(scripted(), key="opensesame", allowed_origins=["https://app.example"]) as server:
        yield server


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer opensesame"},
        {"Authorization": "bearer opensesame"},
        {"Authorization": "BEARER  opensesame"},
        {"Authorization": "Bearer\topensesame"},
        {"x-api-key": "opensesame"},
        {"x-api-key": "opensesame", "Authorization": "Bearer none"},
    ],
)
def test_the_key_is_read_as_clients_send_it(locked: Served, headers: dict[str, str]) -> None:
    """kubestellar/console 7374 and Azure/autorest.typescript 2109: servers refused the scheme in lower case."""
    assert locked.client.post("/v1/chat/completions", json=ASK, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "opensesame"},
        {"Authorization": "Basic opensesame"},
        {"Authorization": "Bearer opensesame extra"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer", "x-api-key": ""},
        {"x-api-key": "Bearer opensesame"},
        {"Authorization": "Bearer openses\u00e4me".encode("latin-1")},
    ],
)
def test_nothing_else_is_the_key(locked: Served, headers: dict[str, str]) -> None:
    assert locked.client.post("/v1/chat/completions", json=ASK, headers=headers).status_code == 401


LOCAL = ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:8000", "127.8.8.8", "[::1]", "[::1]:8000", "localhost."]
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1", "[::2]:80"]
FOREIGN += ["0.0.0.0", "user@localhost@evil.example", "[::1", "evil.example#localhost", "127.0.0.1:80:evil"]


@pytest.mark.parametrize("host", LOCAL)
def test_a_server_without_a_key_answers_to_names_of_this_machine(served: Served, host: str) -> None:
    assert served.client.post("/v1/chat/completions", json=ASK, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/v1/models", "/health", "/metrics", "/docs", "/"])
def test_a_server_without_a_key_refuses_foreign_hosts(served: Served, host: str, path: str) -> None:
    """With DNS rebinding a page's own name leads to 127.0.0.1, and its script may read what it gets from there."""
    reply = served.client.get(path, headers={"Host": host})
    assert reply.status_code == 403
    assert reply.json()["error"]["message"].startswith(f"Host: got {host}; use localhost")


def test_with_a_key_any_host_is_served(locked: Served) -> None:
    headers = {"Host": "z1.example", "Origin": "https://other.example", "x-api-key": "opensesame"}
    assert locked.client.post("/v1/chat/completions", json=ASK, headers=headers).status_code == 200


def status_from(server: Served, origin: str, path: str = "/v1/chat/completions") -> int:
    return server.client.post(path, json=ASK, headers={"Origin": origin}).status_code


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://[", "file://"])
def test_pages_of_other_origins_change_nothing(served: Served, origin: str) -> None:
    paths = ["/v1/chat/completions", "/v1/completions", "/v1/chat/completions/control", "/chat/settings"]
    assert [status_from(served, origin, path) for path in paths] == [403] * 4
    assert served.client.delete("/v1/models", headers={"Origin": origin}).status_code == 403


def test_pages_of_the_server_itself_and_programs_are_served(served: Served) -> None:
    assert status_from(served, served.url) == 200
    assert served.post(**ASK).status_code == 200


def test_cors_is_off_by_default(served: Served) -> None:
    ask = {"Origin": served.url, "Access-Control-Request-Method": "POST"}
    reply = served.client.options("/v1/chat/completions", headers=ask)
    assert reply.status_code == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("key", [None, "opensesame"])
def test_pages_of_allowed_origins_are_served(key: str | None) -> None:
    """mudler/LocalAI 710 and lm-sys/RouteLLM 43: a browser's preflight request was answered with 405, or with 401."""
    allowed = {"Origin": "https://app.example"}
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with serving(scripted(), key=key, allowed_origins=["https://app.example"]) as server:
        preflight = server.client.options("/v1/chat/completions", headers={**allowed, **wanted})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, allowed["Origin"])
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        headers = {**allowed, "Authorization": "Bearer opensesame"}
        reply = server.client.post("/v1/chat/completions", json=ASK, headers=headers)
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, allowed["Origin"])
        assert "x-request-id" in reply.headers["access-control-expose-headers"]
        other = server.client.options("/v1/chat/completions", headers={**wanted, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_every_response_is_counted_under_its_route() -> None:
    """Success and failure have one label, so that an error rate can be computed."""
    limits = ServerLimits(max_body_bytes=1000)
    with serving(scripted(), key="opensesame", limits=limits) as server:
        key = {"x-api-key": "opensesame"}
        chat, post = "/v1/chat/completions", server.client.post
        statuses = [
            post(chat, json=ASK, headers=key),
            post(chat, json={**ASK, "n": 0}, headers=key),
            post(chat, json=ASK),
            post(chat, json={**ASK, "user": "x" * 1000}, headers=key),
            post(chat, json={**ASK, "model": "other"}, headers=key),
            server.client.get(chat, headers=key),
        ]
        assert [reply.status_code for reply in statuses] == [200, 400, 401, 413, 404, 405]
        server.client.get("/v1/models/scripted", headers=key)
        server.client.get("/nowhere", headers=key)
        text = server.client.get("/metrics", headers=key).text
    for status in (200, 400, 401, 413, 404, 405):
        assert f'z1_requests_total{{route="{chat}",status="{status}"}} 1.0' in text
    assert 'z1_requests_total{route="/v1/models/{name:path}",status="200"} 1.0' in text
    assert 'z1_requests_total{route="other",status="404"} 1.0' in text


def test_bodies_above_the_limit_are_rejected() -> None:
    with serving(scripted(), limits=ServerLimits(max_body_bytes=1000)) as server:
        assert server.post(**ASK).status_code == 200
        reply = server.post(**ASK, user="x" * 1000)
        assert reply.status_code == 413
        assert reply.json()["error"]["message"]
        sent = server.client.post(
            "/v1/chat/completions", content=iter([b"x" * 600] * 3), headers={"content-type": "application/json"}
        )
        assert sent.status_code == 413


def admissions(limit: int, count: int, cancelled: int | None = None) -> list[int]:
    """The event-loop iteration in which each of `count` concurrent callers is admitted, in order; one is cancelled."""

    async def run() -> list[tuple[int, int]]:
        throttle, order = AdmissionThrottle(limit), []
        iteration = 0

        async def one(number: int) -> None:
            await throttle.wait()
            order.append((number, iteration))

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            iteration += 1
            if iteration == 1 and cancelled is not None:
                tasks[cancelled].cancel()
        return order

    order = asyncio.run(run())
    assert [number for number, _ in order] == [number for number in range(count) if number != cancelled]
    return [iteration for _, iteration in order]


def test_a_burst_is_admitted_in_order_over_several_iterations() -> None:
    iterations = admissions(3, 10)
    assert iterations[:3] == [0, 0, 0]
    assert [iterations.count(one) for one in sorted(set(iterations))] == [3, 3, 3, 1]


def test_few_are_admitted_immediately_and_a_cancelled_caller_takes_no_place() -> None:
    assert admissions(3, 3) == [0, 0, 0]
    iterations = admissions(2, 7, cancelled=3)
    assert [iterations.count(one) for one in sorted(set(iterations))] == [2, 2, 2]
