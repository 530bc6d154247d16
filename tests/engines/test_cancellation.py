"""Is what loses given up before anything else happens?"""

from __future__ import annotations

import asyncio

import pytest

from z1.engines.cancellation import CUT, unless


def test_what_comes_first_wins_and_the_other_has_ended() -> None:
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
        assert await unless(never, asyncio.sleep(0, "soon")) == "soon"
        with pytest.raises(ValueError, match="as told"):
            await unless(never, fails())
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(cut.set_result, None)
        assert await unless(cut, slow()) is CUT
        assert ended == ["slow"]
        assert await unless(cut, asyncio.sleep(0, "soon")) is CUT  # however soon it would have come
        task = asyncio.create_task(unless(never, slow()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["slow", "slow"]

    asyncio.run(run())
