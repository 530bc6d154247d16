"""Tests of z1.serve.middleware."""

from __future__ import annotations

import asyncio

from tests.serve.conftest import serving
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
