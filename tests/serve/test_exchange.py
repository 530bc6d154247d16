"""Does an exchange end once, whatever happens to it on the way?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.serve.scripts import FORCED, HINT, THOUGHT, says, scripted
from z1 import chat
from z1.engines import Engine, Sampling
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.serve.budget import Budget
from z1.serve.exchange import Exchange, Streamed, Whole
from z1.serve.parts import Style
from z1.serve.room import Order, Room
from z1.serve.wire import Chat

STYLE = Style(chat.profile("z1-tiny"), chr_bytes := lambda token: chr(token).encode())


def with_exchange(act: Callable[[Exchange], Awaitable[Any]], *budgets: Budget, engine: Engine | None = None) -> Any:
    async def run() -> Any:
        room = Room(engine or scripted(), 0.0)
        await room.open()
        try:
            orders = [Order(tuple(map(ord, "why?")), budget, Sampling(frozenset({3}))) for budget in budgets]
            return await act(Exchange(room.place(orders), Chat("x", "m"), STYLE, 4))
        finally:
            await room.close()

    return asyncio.run(run())


async def whole(exchange: Exchange) -> Any:
    await exchange.begin()
    return await exchange.whole()


def test_choices_stand_in_the_order_in_which_they_were_asked_for() -> None:
    said = with_exchange(whole, Budget(30), Budget(0), Budget(7))
    assert [choice["budget"]["used"] for choice in said["choices"]] == [30, 0, 7]
    assert said["choices"][2]["message"]["content"] == THOUGHT[:7] + HINT + FORCED


def test_one_choice_that_does_not_fit_refuses_the_request_and_gives_up_the_others() -> None:
    async def act(exchange: Exchange) -> None:
        try:
            await whole(exchange)
        finally:
            assert isinstance(exchange.fault, UserError)

    with pytest.raises(UserError, match="hint and answer"):
        with_exchange(act, Budget(), Budget(total=10))


def failing(context: Any) -> int:
    if len(context) > 30:
        raise EngineFault("gone")
    return says(context)


def test_a_fault_after_the_first_piece_is_an_event_and_the_stream_ends() -> None:
    async def act(exchange: Exchange) -> bytes:
        await exchange.begin()
        return b"".join([data async for data in exchange.stream(counts=True)])

    said = with_exchange(act, Budget(), engine=ScriptedEngine(failing, pace=0.001)).decode()
    assert '"message":"gone"' in said
    assert "usage" not in said
    assert said.endswith("data: [DONE]\n\n")
    with pytest.raises(EngineFault, match="gone"):
        with_exchange(whole, Budget(), engine=ScriptedEngine(failing, pace=0.001))


@pytest.mark.parametrize("kind", [Whole, Streamed])
def test_when_the_client_goes_away_it_is_done_once_and_soon(kind: type[Whole] | type[Streamed]) -> None:
    done: list[Exchange] = []
    sent: list[Any] = []

    async def act(exchange: Exchange) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await exchange.begin()
        settings = {"counts": False} if kind is Streamed else {}
        await asyncio.wait_for(kind(exchange, done.append, {}, **settings)({"type": "http"}, receive, send), 60)

    with_exchange(act, Budget(), engine=scripted(pace=2))
    assert len(done) == 1
    assert not done[0].ends
