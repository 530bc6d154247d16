"""Does an exchange end once, whatever happens to it on the way?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.serve.scripts import FORCED, HINT, THOUGHT, says, scripted
from z1 import profiles
from z1.engines import Engine, Sampling
from z1.engines.scripted import ScriptedEngine
from z1.errors import EngineFault, UserError
from z1.serve.api.budget import Budget
from z1.serve.api.openai_format import ChatFormat
from z1.serve.api.reply_text import OutputOptions
from z1.serve.runtime.reply_runner import GenerationRequest, ReplyRunner
from z1.serve.runtime.response import PendingResponse, SseResponse, WholeResponse

STYLE = OutputOptions(profiles.profile("z1-tiny"), chr_bytes := lambda token: chr(token).encode())


def with_exchange(
    act: Callable[[PendingResponse], Awaitable[Any]], *budgets: Budget, engine: Engine | None = None
) -> Any:
    async def run() -> Any:
        room = ReplyRunner(engine or scripted(), 0.0)
        await room.open()
        try:
            orders = [
                GenerationRequest(tuple(map(ord, "why?")), budget, Sampling(frozenset({3}))) for budget in budgets
            ]
            return await act(PendingResponse(room.place(orders), ChatFormat("x", "m"), STYLE, 4))
        finally:
            await room.close()

    return asyncio.run(run())


async def whole(exchange: PendingResponse) -> Any:
    await exchange.begin()
    return await exchange.whole()


def test_choices_stand_in_the_order_in_which_they_were_asked_for() -> None:
    said = with_exchange(whole, Budget(30), Budget(0), Budget(7))
    assert [choice["budget"]["used"] for choice in said["choices"]] == [30, 0, 7]
    assert said["choices"][2]["message"]["content"] == THOUGHT[:7] + HINT + FORCED


def test_one_choice_that_does_not_fit_refuses_the_request_and_gives_up_the_others() -> None:
    async def act(exchange: PendingResponse) -> None:
        try:
            await whole(exchange)
        finally:
            assert isinstance(exchange.fault, UserError)

    with pytest.raises(UserError, match="hint and answer"):
        with_exchange(act, Budget(), Budget(max_tokens=10))


def failing(context: Any) -> int:
    if len(context) > 30:
        raise EngineFault("gone")
    return says(context)


def test_a_fault_after_the_first_piece_is_an_event_and_the_stream_ends() -> None:
    async def act(exchange: PendingResponse) -> bytes:
        await exchange.begin()
        return b"".join([data async for data in exchange.stream(counts=True)])

    said = with_exchange(act, Budget(), engine=ScriptedEngine(failing, pace=0.001)).decode()
    assert '"message":"gone"' in said
    assert "usage" not in said
    assert said.endswith("data: [DONE]\n\n")
    with pytest.raises(EngineFault, match="gone"):
        with_exchange(whole, Budget(), engine=ScriptedEngine(failing, pace=0.001))


@pytest.mark.parametrize("kind", [WholeResponse, SseResponse])
def test_when_the_client_goes_away_it_is_done_once_and_soon(kind: type[WholeResponse] | type[SseResponse]) -> None:
    done: list[PendingResponse] = []
    sent: list[Any] = []

    async def act(exchange: PendingResponse) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await exchange.begin()
        settings = {"counts": False} if kind is SseResponse else {}
        await asyncio.wait_for(kind(exchange, done.append, {}, **settings)({"type": "http"}, receive, send), 60)

    with_exchange(act, Budget(), engine=scripted(pace=2))
    assert len(done) == 1
    assert not done[0].ends
