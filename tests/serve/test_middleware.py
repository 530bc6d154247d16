"""Is nobody let in without the key, nor with too much?"""

from __future__ import annotations

import asyncio

from tests.serve.conftest import serving
from tests.serve.scripts import ASK, scripted
from z1.serve.middleware import AdmissionThrottle
from z1.serve.runtime.service import ServerLimits


def test_a_key_is_asked_for_everywhere_but_at_health() -> None:
    with serving(scripted(), key="opensesame") as one:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer opensesame2"}):
            reply = one.client.post("/v1/chat/completions", json=ASK, headers=headers)
            assert (reply.status_code, reply.json()["error"]["type"]) == (401, "authentication_error")
        assert one.get("/metrics").status_code == 401
        assert one.get("/openapi.json").status_code == 401
        assert one.get("/health").status_code == 200
        right = {"Authorization": "Bearer opensesame"}
        assert one.client.post("/v1/chat/completions", json=ASK, headers=right).status_code == 200


def test_bodies_have_a_limit() -> None:
    with serving(scripted(), limits=ServerLimits(max_body_bytes=1000)) as one:
        assert one.post(**ASK).status_code == 200
        reply = one.post(**ASK, user="x" * 1000)
        assert reply.status_code == 413
        assert reply.json()["error"]["message"]
        sent = one.client.post(
            "/v1/chat/completions", content=iter([b"x" * 600] * 3), headers={"content-type": "application/json"}
        )
        assert sent.status_code == 413


def passed(most: int, count: int, gone: int | None = None) -> list[int]:
    """At which turn of the loop each of `count` passes who come at once, in the order of passing; one gives up."""

    async def run() -> list[tuple[int, int]]:
        turns, order = AdmissionThrottle(most), []
        turn = 0

        async def one(number: int) -> None:
            await turns.wait()
            order.append((number, turn))

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            turn += 1
            if turn == 1 and gone is not None:
                tasks[gone].cancel()
        return order

    order = asyncio.run(run())
    assert [number for number, _ in order] == [number for number in range(count) if number != gone]
    return [turn for _, turn in order]


def test_of_many_who_come_at_once_a_few_pass_at_each_turn_in_their_order() -> None:
    turns = passed(3, 10)
    assert turns[:3] == [0, 0, 0]
    assert [turns.count(turn) for turn in sorted(set(turns))] == [3, 3, 3, 1]


def test_few_pass_at_once_and_who_gave_up_takes_nobodys_turn() -> None:
    assert passed(3, 3) == [0, 0, 0]
    turns = passed(2, 7, gone=3)
    assert [turns.count(turn) for turn in sorted(set(turns))] == [2, 2, 2]
