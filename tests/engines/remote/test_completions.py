"""Sessions on completions: text streams as it comes and is cut exactly, and an upstream that goes on is cut off."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.engines.http_host import serving
from tests.engines.upstream import Upstream
from z1.engines import FinishReason, Sampling
from z1.engines import remote as engines
from z1.engines.remote import RemoteEngine
from z1.engines.remote.completions import request_settings
from z1.engines.scripted import Characters
from z1.errors import EngineFault

STOPS = Sampling(frozenset({3}))


class Paced(Upstream):
    """Sends `pieces`, whatever was asked; with a `gate` each when it is let through."""

    def __init__(self, pieces: list[str], gate: asyncio.Semaphore | None = None) -> None:
        super().__init__(lambda _: 97, ids=False)
        self.pieces, self.gate, self.sent = pieces, gate, 0

    async def _stream(self, body: Any, context: Any, writer: asyncio.StreamWriter, fault: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for piece in self.pieces:
            if self.gate is not None:
                await self.gate.acquire()
            writer.write(f"data: {json.dumps({'choices': [{'text': piece}]})}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(0)
            self.sent += 1
        writer.write(b"data: [DONE]\n\n")


async def entered(upstream: Upstream, act: Any) -> Any:
    async with serving(upstream) as url:
        given = engines.Upstream(url, has_token_ids=False, has_windows=False)
        async with RemoteEngine(given, Characters(), ("made", "plain")) as engine:
            return await act(await engine.open([97], STOPS))


def test_text_is_pending_as_soon_as_it_came() -> None:
    """nicedreamzapp/claude-code-local 39, NVIDIA/OpenShell 260: streaming that waits for the end is none."""
    upstream = Paced(["one ", "two ", "three ", "four", "!"], asyncio.Semaphore(0))

    async def act(session: Any) -> None:
        task, text = asyncio.create_task(session.sample(300)), ""
        for piece in upstream.pieces[:-1]:
            upstream.gate.release()  # type: ignore[union-attr]
            text += piece
            while "".join(map(chr, session.pending_token_ids)) != text:
                await asyncio.sleep(0.001)
        upstream.gate.release()  # type: ignore[union-attr]
        assert (await task).reason is FinishReason.STOP

    asyncio.run(entered(upstream, act))


@pytest.mark.parametrize("size", [1, 3, 50])
def test_an_upstream_that_goes_on_is_cut_off_at_the_bound(size: int) -> None:
    upstream = Paced(["x" * size] * 4000)

    async def act(session: Any) -> tuple[int, Any]:
        sampled = await session.sample(70)
        for _ in range(400):
            if not upstream.open:
                break
            await asyncio.sleep(0.005)
        return len(sampled.token_ids), sampled.reason

    assert asyncio.run(entered(upstream, act)) == (70, FinishReason.LIMIT)
    assert upstream.open == 0 and upstream.sent < 4000


def test_the_first_request_that_is_accepted_is_announced_once() -> None:
    upstream, calls = Paced(["a", "b"]), []

    async def act(session: Any) -> None:
        session.on_accepted = lambda: calls.append(len(upstream.asked))
        upstream.faults = [429]
        with pytest.raises(EngineFault, match="answered 429"):
            await session.sample(5)
        assert calls == []
        await session.sample(5)
        await session.sample(5)

    asyncio.run(entered(upstream, act))
    assert len(calls) == 1


def test_a_reply_whose_stop_has_no_token_is_a_fault() -> None:
    async def act(session: Any) -> None:
        session._sampling = Sampling()
        with pytest.raises(EngineFault, match="without stop tokens"):
            await session.sample(50)

    asyncio.run(entered(Paced(["a"]), act))


def test_settings_that_have_no_effect_are_not_sent() -> None:
    assert request_settings(Sampling(), 0, 9, (), with_token_ids=False) == {"temperature": 0.0}
    drawn = request_settings(Sampling(temperature=1.0, top_k=0), 0, 9, (), with_token_ids=False)
    assert set(drawn) == {"temperature", "top_p", "seed"}
