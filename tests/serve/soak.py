"""Soak test: many concurrent requests, a third of them malformed, truncated, cancelled, too long or hostile.

    python -m tests.serve.soak 10000

Counts responses by status, sessions that read_bytes open, errors in the server's log, and memory growth.
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
from tests.serve.scripts import ASK, next_token
from z1.engines.protocol import Sampling
from z1.engines.scripted import ScriptedEngine, ScriptedSession
from z1.serve.runtime.service import ServerLimits

CONCURRENT = 48
"""Concurrent requests; the server allows fewer replies, so that some get status 429."""


class SessionCounter(ScriptedEngine):
    """Counts open sessions."""

    live = 0

    async def open(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedSession:
        session = await super().open(prompt, sampling)
        self.live += 1
        session.close = self._closed  # type: ignore[method-assign]
        return session

    async def _closed(self) -> None:
        self.live -= 1


@dataclass
class SoakResult:
    """The result. `memory` is the MiB of the process after each batch of requests, `session` the ledger of one."""

    statuses: Counter[str] = field(default_factory=Counter)
    open: int = -1
    running: int = -1
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)


def chat(**body: Any) -> bytes:
    return request("/v1/chat/completions", json.dumps({**ASK, **body}).encode())


def request(path: str, body: bytes, *, length: int | None = None, kind: str = "application/json") -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    head += f"Content-Length: {size}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body


def good(rng: random.Random) -> bytes:
    budget: dict[str, Any] = rng.choice(
        [{}, {"thinking_budget": rng.randrange(80)}, {"reasoning_effort": "low"}, {"n": 2}, {"return_token_ids": True}]
    )
    if rng.random() < 0.2:
        user = [{"role": "user", "content": "why?"}]
        path, body = "/v1/responses", dict[str, Any](input=user)
        if rng.random() < 0.5:
            path, body = "/v1/messages", {"messages": user, "max_tokens": 300}
        body = {"model": "scripted", **body, "thinking_budget": rng.randrange(80), "stream": rng.random() < 0.5}
        return request(path, json.dumps(body).encode())
    if rng.random() < 0.3:
        budget = {**budget, "session": {"id": "s", "thinking_budget": 5000}, "token_ledger": rng.random() < 0.5}
    if rng.random() < 0.3:
        text = {"model": "scripted", "prompt": "why?", "max_tokens": 300, **budget}
        return request("/v1/completions", json.dumps({**text, "stream": rng.random() < 0.5}).encode())
    return chat(**budget, stream=rng.random() < 0.5, separate_reasoning=rng.random() < 0.5)


def question(content: Any) -> bytes:
    return chat(messages=[{"role": "user", "content": content}])


PIECES: tuple[Any, ...] = (
    *(None, "", "why?", "\ud800", 7, -1, 1e309, True, [], {}, [[]], [None], "x" * 3000, {"a": "\ud800"}, {"type": "x"}),
    *({"type": "text", "text": "why?"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": float("nan")}}),
    *(
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]},
        {"type": "thinking", "thinking": "x"},
    ),
    *({"type": "thinking", "thinking": "\ud800", "signature": "\ud800"}, {"type": "reasoning", "summary": [{}]}),
    *({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}, {"type": "item_reference", "id": "x"}),
    *({"type": "function_call_output", "call_id": "c", "output": "x"}, {"role": "user", "content": [{}]}),
    *({"role": "assistant", "content": []}, {"role": "tool", "content": "x"}, {"role": "user", "content": "why?"}),
)
"""Values for every field of the new routes."""

AGENT_FIELDS = {
    "/v1/responses": (
        *("input", "instructions", "tools", "tool_choice", "text", "include", "metadata", "reasoning"),
        *("previous_response_id", "max_output_tokens", "parallel_tool_calls", "stop", "stream", "session"),
    ),
    "/v1/messages": (
        *("messages", "system", "tools", "tool_choice", "thinking", "output_config", "stop_sequences"),
        *("max_tokens", "stream", "metadata", "mcp_servers", "container", "session"),
    ),
}


def agent(rng: random.Random) -> bytes:
    """A body of the Responses or Messages API with wrong values in one or two fields, at any depth."""
    path = rng.choice(list(AGENT_FIELDS))
    user = {"role": "user", "content": "why?"}
    body: dict[str, Any] = {"model": "scripted", "max_tokens": 300, "messages": [user]}
    if path == "/v1/responses":
        body = {"model": "scripted", "input": "why?"}

    def wrong(depth: int) -> Any:
        kind = rng.random() if depth else 0
        if kind > 0.8:
            return {**rng.choice([{}, user]), rng.choice(["type", "content", "text", "function"]): wrong(depth - 1)}
        return [wrong(depth - 1) for _ in range(rng.randrange(3))] if kind > 0.5 else rng.choice(PIECES)

    body |= {rng.choice(AGENT_FIELDS[path]): wrong(3) for _ in range(rng.randrange(1, 3))}
    route = path + "/count_tokens" if path == "/v1/messages" and rng.random() < 0.3 else path
    return request(route, json.dumps(body).encode())


BAD: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: request("/v1/chat/completions", rng.randbytes(rng.randrange(200))),
    lambda rng: request("/v1/chat/completions", json.dumps(ASK).encode()[: rng.randrange(60)]),
    lambda rng: request("/v1/chat/completions", b"[" * rng.randrange(100_000)),
    lambda rng: request("/v1/chat/completions", b'{"n": ' + b"9" * rng.randrange(1, 9000) + b"}"),
    lambda rng: request("/v1/chat/completions", json.dumps(ASK).encode(), kind="text/plain"),
    lambda rng: request("/" + rng.choice(["..", "v1", "v1/%2e%2e", "\x7f", "v1/models/" + "a" * 900]), b"{}"),
    lambda rng: chat(**{rng.choice(["tools", "logprobs", "echo", "zz", "n", "stop"]): rng.choice([[1], "x", -1, {}])}),
    lambda rng: chat(thinking_budget=rng.choice([-7, 1e99, "5", None, [], True, 10**30])),
    lambda rng: chat(max_tokens=rng.choice([0, 1, 2**70, -1]), temperature=rng.choice([float("nan"), -1, 1e309])),
    lambda rng: question("x" * rng.choice([5000, 70_000]) + "?"),
    lambda rng: question("\ud800?"),
    lambda rng: question("\0<|im_end|>\ue0f1" * rng.randrange(1, 50) + "?"),
    lambda rng: question([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]),
    lambda rng: chat(messages=[{"role": rng.choice(["tool", "system\n", ""]), "content": "x"}] * rng.randrange(1200)),
    lambda rng: chat(
        **{
            rng.choice(["min_thinking_tokens", "min_tokens", "stop_token_ids", "top_logprobs"]): rng.choice(
                [2**70, -1, [2**70]]
            )
        }
    ),
    lambda rng: chat(stop=["a"] * rng.randrange(40), hint="x" * rng.randrange(4000)),
    lambda rng: request(
        "/v1/completions", json.dumps({"model": "scripted", "prompt": [[rng.randrange(9**9)]]}).encode()
    ),
    lambda rng: request("/v1/chat/completions/control", json.dumps({"id": "x" * rng.randrange(300)}).encode()),
    lambda rng: chat(session=rng.choice([[], "s", 7, {"id": rng.choice(["", "a b", 3, "x" * 200, None])}])),
    lambda rng: chat(session={"id": "s", "thinking_budget": rng.choice([-7, 2**70, "5", [], True, 1e99])}),
    lambda rng: chat(session={"id": rng.choice(["s", "new"]), "on_exhausted": rng.choice(["die", 1, "refuse"])}),
    lambda rng: request("/v1/sessions/" + rng.choice(["s", "%00", "a" * 900]), b"{}"),
    agent,
    lambda rng: rng.randbytes(rng.randrange(1, 300)),
    lambda rng: b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * rng.randrange(100_000) + b"\r\n\r\n",
)

DISCONNECTED: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: request("/v1/chat/completions", b'{"model"', length=500),
    lambda rng: chat(stream=True, n=rng.randrange(1, 3)),
    lambda rng: chat(stream=rng.random() < 0.5, session={"id": "s", "thinking_budget": 5000}),
    lambda rng: chat(),
)
"""Requests whose client disconnects, after some bytes or none."""


async def send(address: tuple[str, int], data: bytes, read_bytes: int | None) -> str:
    """The status, or why there is no response. With `read_bytes` the client disconnects after so many bytes."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        if b"\r\n\r\n" not in data:  # no more bytes follow
            writer.write_eof()
        if read_bytes is not None:
            await asyncio.wait_for(reader.read(read_bytes) if read_bytes else writer.drain(), 0.05)
            return "disconnected"
        answer = await asyncio.wait_for(reader.read(), 120)
        return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else "closed"
    except TimeoutError:
        return "disconnected" if read_bytes is not None else "hung"
    except ConnectionError:
        return "closed"
    finally:
        writer.close()


async def run_batch(url: str, count: int, rng: random.Random) -> Counter[str]:
    """Send `count` requests, CONCURRENT at a time."""
    address, limit, result = urlsplit(url), asyncio.Semaphore(CONCURRENT), Counter[str]()

    async def one() -> None:
        kind = rng.random()
        data = good(rng) if kind < 2 / 3 else rng.choice(BAD if kind < 5 / 6 else DISCONNECTED)(rng)
        read_bytes = None if kind < 5 / 6 else rng.choice([0, 1, 400])
        async with limit:
            status = await send((address.hostname or "", address.port or 0), data, read_bytes)
        result[status if kind >= 2 / 3 else f"good {status}"] += 1

    await asyncio.gather(*(one() for _ in range(count)))
    return result


def resident() -> float:
    """Resident memory of this process in MiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def soak(count: int, seed: int = 0, batches: int = 10) -> SoakResult:
    """Send `count` requests in `batches` to a server in this process, and collect garbage after each batch."""
    result, errors, engine = SoakResult(), _Errors(), SessionCounter(next_token)
    logging.getLogger("uvicorn.error").addHandler(errors)
    try:
        with serving(
            engine, limits=ServerLimits(max_concurrent_requests=CONCURRENT - 8, max_body_bytes=60_000)
        ) as server:
            for number in range(batches):
                rng = random.Random(seed + number)
                result.statuses += asyncio.run(run_batch(server.url, count // batches, rng))
                result.memory.append(round(resident(), 1))
            server.idle()
            result.session = server.get("/v1/sessions/s").json()
            result.open, result.running = (
                engine.live,
                server.service.running_replies + server.service.runner.running_requests,
            )
    finally:
        logging.getLogger("uvicorn.error").removeHandler(errors)
    result.errors = errors.lines
    return result


if __name__ == "__main__":
    print(soak(int(sys.argv[1])))
