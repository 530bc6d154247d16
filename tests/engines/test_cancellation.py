"""The loser of a wait has been cancelled when the wait returns."""

from __future__ import annotations

import asyncio

import pytest

from z1.engines.cancellation import CANCELLED, await_unless_cancelled


def test_the_first_wins_and_the_other_has_ended() -> None:
    ended: list[str] = []

    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")
        return "late"

    async def fails() -> str:
        raise ValueError("as told")

    async def run() -> None:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        assert await await_unless_cancelled(never, asyncio.sleep(0, "soon")) == "soon"
        with pytest.raises(ValueError, match="as told"):
            await await_unless_cancelled(never, fails())
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(cut.set_result, None)
        assert await await_unless_cancelled(cut, slow()) is CANCELLED
        assert ended == ["slow"]
        assert await await_unless_cancelled(cut, asyncio.sleep(0, "soon")) is CANCELLED  # even if it is ready at once
        task = asyncio.create_task(await_unless_cancelled(never, slow()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["slow", "slow"]

    asyncio.run(run())
