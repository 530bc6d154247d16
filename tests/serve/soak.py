"""Does the server survive whoever comes, for as long as they come?

    python -m tests.serve.soak 10000

Many requests at once against a real server, a third of them malformed, cut off, cancelled, over-long or hostile. Counts
answers by status, sessions that stay open, errors in the server's log, and the memory that is left behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.serve.conftest import serving
from tests.serve.scripts import ASK, says
from z1.engines.protocol import Sampling
from z1.engines.scripted import ScriptedEngine, ScriptedSession
from z1.serve.runtime.service import ServerLimits

TOGETHER = 48
"""Requests under way at once; the server takes fewer replies, so that some are told to come back."""


class Open(ScriptedEngine):
    """Knows how many sessions are open."""

    live = 0

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        session = await super().open(prompt, sampling)
        self.live += 1
        session.close = self._closed  # type: ignore[method-assign]
        return session

    async def _closed(self) -> None:
        self.live -= 1


@dataclass
class Found:
    """What a soak found. `memory` are MiB of the process after each tenth of the requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    open: int = -1
    running: int = -1
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def chat(**body: Any) -> bytes:
    return request("/v1/chat/completions", json.dumps({**ASK, **body}).encode())


def request(path: str, body: bytes, *, length: int | None = None, kind: str = "application/json") -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body


def good(draw: random.Random) -> bytes:
    budget: dict[str, Any] = draw.choice(
        [{}, {"thinking_budget": draw.randrange(80)}, {"reasoning_effort": "low"}, {"n": 2}, {"return_token_ids": True}]
    )
    if draw.random() < 0.3:
        text = {"model": "scripted", "prompt": "why?", "max_tokens": 300, **budget}
        return request("/v1/completions", json.dumps({**text, "stream": draw.random() < 0.5}).encode())
    return chat(**budget, stream=draw.random() < 0.5, separate_reasoning=draw.random() < 0.5)


def question(content: Any) -> bytes:
    return chat(messages=[{"role": "user", "content": content}])


BAD: tuple[Callable[[random.Random], bytes], ...] = (
    lambda draw: request("/v1/chat/completions", draw.randbytes(draw.randrange(200))),
    lambda draw: request("/v1/chat/completions", json.dumps(ASK).encode()[: draw.randrange(60)]),
    lambda draw: request("/v1/chat/completions", b"[" * draw.randrange(100_000)),
    lambda draw: request("/v1/chat/completions", b'{"n": ' + b"9" * draw.randrange(1, 9000) + b"}"),
    lambda draw: request("/v1/chat/completions", json.dumps(ASK).encode(), kind="text/plain"),
    lambda draw: request("/" + draw.choice(["..", "v1", "v1/%2e%2e", "\x7f", "v1/models/" + "a" * 900]), b"{}"),
    lambda draw: chat(
        **{draw.choice(["tools", "logprobs", "echo", "zz", "n", "stop"]): draw.choice([[1], "x", -1, {}])}
    ),
    lambda draw: chat(thinking_budget=draw.choice([-7, 1e99, "5", None, [], True, 10**30])),
    lambda draw: chat(max_tokens=draw.choice([0, 1, 2**70, -1]), temperature=draw.choice([float("nan"), -1, 1e309])),
    lambda draw: question("x" * draw.choice([5000, 70_000]) + "?"),
    lambda draw: question("\ud800?"),
    lambda draw: question("\0<|im_end|>\ue0f1" * draw.randrange(1, 50) + "?"),
    lambda draw: question([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]),
    lambda draw: chat(
        messages=[{"role": draw.choice(["tool", "system\n", ""]), "content": "x"}] * draw.randrange(1200)
    ),
    lambda draw: chat(
        **{
            draw.choice(["min_thinking_tokens", "min_tokens", "stop_token_ids", "top_logprobs"]): draw.choice(
                [2**70, -1, [2**70]]
            )
        }
    ),
    lambda draw: chat(stop=["a"] * draw.randrange(40), hint="x" * draw.randrange(4000)),
    lambda draw: request(
        "/v1/completions", json.dumps({"model": "scripted", "prompt": [[draw.randrange(9**9)]]}).encode()
    ),
    lambda draw: request("/v1/chat/completions/control", json.dumps({"id": "x" * draw.randrange(300)}).encode()),
    lambda draw: draw.randbytes(draw.randrange(1, 300)),
    lambda draw: b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * draw.randrange(100_000) + b"\r\n\r\n",
)

CUT: tuple[Callable[[random.Random], bytes], ...] = (
    lambda draw: request("/v1/chat/completions", b'{"model"', length=500),
    lambda draw: chat(stream=True, n=draw.randrange(1, 3)),
    lambda draw: chat(),
)
"""Whose clients go away, after some bytes or none."""


async def sent(place: tuple[str, int], data: bytes, stay: int | None) -> str:
    """The status of the answer, or why there was none. A client that does not `stay` goes after so many bytes."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(data)
        if b"\r\n\r\n" not in data:  # the server waits for the rest; here there is none
            writer.write_eof()
        if stay is not None:
            await asyncio.wait_for(reader.read(stay) if stay else writer.drain(), 0.05)
            return "left"
        answer = await asyncio.wait_for(reader.read(), 120)
        return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else "closed"
    except TimeoutError:
        return "left" if stay is not None else "hung"
    except ConnectionError:
        return "closed"
    finally:
        writer.close()


async def crowd(url: str, count: int, draw: random.Random) -> Counter[str]:
    """Everybody comes, some at once."""
    place, doors, found = urlsplit(url), asyncio.Semaphore(TOGETHER), Counter[str]()

    async def one() -> None:
        kind = draw.random()
        data = good(draw) if kind < 2 / 3 else draw.choice(BAD if kind < 5 / 6 else CUT)(draw)
        stay = None if kind < 5 / 6 else draw.choice([0, 1, 400])
        async with doors:
            status = await sent((place.hostname or "", place.port or 0), data, stay)
        found[status if kind >= 2 / 3 else f"good {status}"] += 1

    await asyncio.gather(*(one() for _ in range(count)))
    return found


def resident() -> float:
    """MiB that this process has in memory."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def soak(count: int, seed: int = 0) -> Found:
    """`count` requests against a server of this process."""
    found, errors, engine = Found(), _Errors(), Open(says)
    logging.getLogger("uvicorn.error").addHandler(errors)
    try:
        with serving(engine, limits=ServerLimits(max_concurrent_requests=TOGETHER - 8, max_body_bytes=60_000)) as one:
            batches = [count // 10] * 10
            for number, batch in enumerate(batches):
                found.statuses += asyncio.run(crowd(one.url, batch, random.Random(seed + number)))
                found.memory.append(round(resident(), 1))
            one.idle()
            found.open, found.running = engine.live, one.service.running_replies + one.service.runner.running
    finally:
        logging.getLogger("uvicorn.error").removeHandler(errors)
    found.errors = errors.lines
    return found


if __name__ == "__main__":
    print(soak(int(sys.argv[1])))
