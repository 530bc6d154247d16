"""An upstream whose replies are hostile: other dialects, broken HTTP, faults, endless streams.

    python -m tests.serve.hostile 500

`KINDS` has a row a kind. A question names its kind ("kind=17?"), so that z1 gets a known reply; what came of it must
reach the client, and what did not must be an error in one line.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.serve.conftest import Served, chunks, serving
from z1.engines.remote import RemoteEngine, Upstream
from z1.engines.scripted import Characters

TEXT = "let us see: 3 🙂 and é\u2028so. The final answer is \\boxed{7}."
KEY = "sk-hostile-0123456789abcdef"
OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"content-type: text/event-stream\r\nconnection: close\r\n\r\n"


def event(**choice: Any) -> bytes:
    return line({"id": "c", "object": "text_completion", "choices": [{"index": 0, **choice}]})


def line(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def texts(**fields: Any) -> bytes:
    """TEXT in events of three characters, each with `fields`."""
    return b"".join(event(text=TEXT[at : at + 3], **fields) for at in range(0, len(TEXT), 3))


def halves(text: str) -> list[str]:
    """The code units of UTF-16, each a string of its own."""
    units = text.encode("utf-16-le")
    return [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]


def ended(word: Any) -> bytes:
    return SSE + texts(finish_reason=None) + event(text="", finish_reason=word) + DONE


def whole(status: int, body: Any, *headers: str, kind: str = "application/json") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    extra = "".join(f"{header}\r\n" for header in headers)
    head = f"HTTP/1.1 {status} as told\r\ncontent-type: {kind}\r\n{extra}content-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def refused(status: int, **error: Any) -> bytes:
    said = {"message": f"no, with key {KEY} of http://me:secret@host/", "type": "made_up", "code": "made_up", **error}
    return whole(status, {"error": said}, "retry-after: 7")


WORDS = ("stop", "eos", "eos_token", "content_filter", "STOP", "end_turn", "stop_sequence", "EOS", "done", "tool_calls")
STATUSES = (
    301,
    307,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    413,
    418,
    422,
    429,
    451,
    499,
    500,
    501,
    502,
    503,
    504,
    520,
    529,
)
ENDLESS = b"endless"

COMES: dict[str, bytes] = {
    **{f"ends with {word!r}": ended(word) for word in WORDS},
    "ends with an unknown word": ended("because"),
    "ends with an empty word": ended(""),
    "an empty word in every event": SSE + texts(finish_reason="") + DONE,
    "an empty word in every event, and no [DONE]": SSE + texts(finish_reason=""),
    "no word but [DONE]": SSE + texts() + DONE,
    "the word beside the last text": SSE + event(text=TEXT[:9]) + event(text=TEXT[9:], finish_reason="stop") + DONE,
    "text after the end": ended("stop") + event(text="more") + DONE,
    "garbage after the end": SSE + texts() + event(text="", finish_reason="stop") + b"\xff\xfe data: {",
    "events without choices": SSE
    + line({"id": "c"})
    + line({"choices": None})
    + line({"choices": []})
    + line({"usage": {"total_tokens": 3}})
    + line({"choices": {"text": "no"}})
    + line({"choices": [None, 5, "x"]})
    + texts()
    + line({"choices": []})
    + event(text=None, finish_reason="stop")
    + DONE,
    "another choice in between": SSE
    + b"".join(event(text=one) + line({"choices": [{"index": 1, "text": "zz"}]}) for one in TEXT)
    + event(text="", finish_reason="stop"),
    "error: null in every event": SSE
    + b"".join(line({"error": None, "choices": [{"text": one}]}) for one in TEXT)
    + DONE,
    "not streamed": whole(200, {"choices": [{"index": 0, "text": TEXT, "finish_reason": "stop"}]}),
    "not streamed, as JSON with a charset": whole(
        200, {"choices": [{"text": TEXT, "finish_reason": "eos"}]}, kind="application/json; charset=utf-8"
    ),
    "carriage returns": (SSE + texts() + DONE).replace(b"\n\n", b"\r\n\r\n"),
    "no blank lines": SSE + (texts() + DONE).replace(b"\n\n", b"\n"),
    "no spaces": SSE + (texts() + DONE).replace(b"data: ", b"data:"),
    "comments and other fields": SSE
    + b": ping\n\nretry: 5\n\nid: 3\nevent: message\n"
    + texts().replace(b"\n\n", b"\n\n: x\n\n")
    + DONE,
    "no content type": OK + b"connection: close\r\n\r\n" + texts() + DONE,
    "text/plain": SSE.replace(b"text/event-stream", b"text/plain") + texts() + DONE,
    "half characters": SSE
    + b"".join(b'data: {"choices": [{"text": %s}]}\n\n' % json.dumps(half).encode() for half in halves(TEXT))
    + DONE,
    "parts": SSE + event(content=[{"type": "text", "text": TEXT}], finish_reason="stop") + DONE,
    "compressed all the same": OK
    + b"content-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    + gzip.compress(texts() + DONE),
    "early hints": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ended("stop"),
    "the maximum, and more": SSE + texts() + event(text="", finish_reason="length"),
    "201": ended("stop").replace(b"200 OK", b"201 Created"),
}
"""Replies that come: the client gets TEXT."""

FAULTS: dict[str, bytes] = {
    **{f"status {status}": refused(status) for status in STATUSES},
    "a status without JSON": whole(500, b"<html>" + b"Bad Gateway " * 9999, kind="text/html"),
    "a status without a body": b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n",
    "a status whose body breaks off": refused(429)[:-30],
    "a status with odd words": refused(400, message=["a", {"b": 1}], code=7, type=None),
    "a status with a list": whole(400, ["no"]),
    "a status with detail": whole(422, {"detail": [{"loc": ["body"], "msg": "no"}]}),
    "a status with a bad Retry-After": whole(429, {}, "retry-after: " + "9" * 200),
    "a redirect elsewhere": whole(307, {}, "location: http://127.0.0.1:9/v1/completions"),
    "HTML": whole(200, b"<html>log in</html>", kind="text/html"),
    "nothing": whole(200, b"", kind="text/event-stream"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "only [DONE]": SSE + DONE,
    "JSON that is no object": whole(200, [1, 2]),
    "JSON that breaks off": whole(200, b'{"choices": [{"te'),
    "an event that is a list": SSE + line([1]),
    "an event that is null": SSE + b"data: null\n\n",
    "an event that is no JSON": SSE + b"data: {'a': 1}\n\n",
    "an event that is deep": SSE + b"data: " + b"[" * 100_000 + b"\n\n",
    "an event that is too long": SSE + b"data: " + b"x" * (9 << 20),
    "a number as text": SSE + event(text=5, finish_reason="stop"),
    "an object as text": SSE + event(text={"a": 1}, finish_reason="stop"),
    "a number as finish reason": SSE + event(text="x", finish_reason=5),
    "a failure as finish reason": SSE + texts() + event(text="", finish_reason="error"),
    "an error at once": SSE + line({"error": {"message": f"no {KEY}", "code": 429}}) + DONE,
    "an error as text": SSE + line({"error": f"Bearer {KEY} is wrong"}),
    "an error after text": SSE + texts() + line({"error": {"message": "died", "type": "x", "code": "y"}}) + DONE,
    "vLLM's older error": SSE + line({"object": "error", "message": "no", "code": 400}),
    "no end": SSE + texts(),
    "breaks off in an event": SSE + texts()[:-9],
    "breaks off in chunks": OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndat",
    "chunks that are none": OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nfoo",
    "gzip that is none": OK + b"content-encoding: gzip\r\nconnection: close\r\n\r\n" + texts(),
    "a body that is too short": OK + b"content-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n" + texts(),
    "the maximum without text": SSE + event(text="", finish_reason="length"),
    "no HTTP": b"hello\r\n\r\n",
    "a head that breaks off": b"HTTP/1.1 200 OK\r\ncontent-type",
    "a head without an end": OK + b"a: " + b"b" * 200_000,
    "a head with a bad name": OK + b"a b\x00: c\r\n\r\n",
    "no reply": b"",
    "random bytes": random.Random(0).randbytes(900),
}
"""Replies that do not come: the client gets an error."""

KINDS = {**COMES, "goes on for ever": ENDLESS, **FAULTS}


@dataclass
class Hostile:
    """Serves the reply that the prompt names, in pieces of random size."""

    open: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            self.asked.append(head)
            body = await reader.readexactly(size)
            if head.startswith(b"GET"):
                writer.write(whole(200, {"data": [{"id": "made"}]}))
            else:
                await self._answer(json.loads(body), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        name, _, so_far = prompt.partition("?")
        reply = list(KINDS.values())[int(name.partition("kind=")[2])]
        if reply is ENDLESS:
            writer.write(SSE)
            while True:
                writer.write(event(text="on and on "))
                await writer.drain()
                await asyncio.sleep(0.001)
        if so_far and so_far != TEXT:
            return
        rng = random.Random(len(reply))
        reply = ended("stop")[: len(SSE)] + event(text="", finish_reason="stop") if so_far else reply
        while reply:
            size = rng.choice([1, 7, 300, 1 << 20])
            writer.write(reply[:size])
            reply = reply[size:]
            if rng.random() < 0.1:
                await writer.drain()
                await asyncio.sleep(0)
        await writer.drain()


@contextmanager
def hostile_upstream() -> Iterator[tuple[Hostile, str]]:
    """The upstream in a thread of its own, and its URL."""
    upstream, loop, ready = Hostile(), asyncio.new_event_loop(), threading.Event()
    url: list[str] = []

    async def run() -> None:
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        url.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        ready.set()
        async with server:
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait()
    try:
        yield upstream, url[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def engine(url: str) -> RemoteEngine:
    given = Upstream(url, "made", KEY, max_model_len=600, has_token_ids=False, has_windows=False, timeout_s=20)
    return RemoteEngine(given, Characters(), ("hostile", "z1-tiny"))


def pass_on(server: Served, kind: int, *, stream: bool) -> tuple[int, str]:
    """Status and body of a request that is passed on, since it has tools; status 0 if the connection broke off."""
    body: dict[str, Any] = {"model": "hostile", "messages": [{"role": "user", "content": f"kind={kind}?"}]}
    try:
        response = server.post(**body, stream=stream, tools=[{"type": "function", "function": {"name": "f"}}])
    except httpx.HTTPError:
        return 0, ""
    return response.status_code, response.text


def ask(server: Served, kind: int, *, stream: bool) -> tuple[int, str, str, dict[str, str]]:
    """Status, content, error and headers of a request for a kind."""
    body: dict[str, Any] = {
        "model": "hostile",
        "messages": [{"role": "user", "content": f"kind={kind}?"}],
        "max_tokens": 500,
    }
    response = server.post(**body, stream=stream)
    headers = dict(response.headers)
    if response.status_code != 200:
        return response.status_code, "", json.dumps(response.json()["error"]), headers
    if not stream:
        return 200, response.json()["choices"][0]["message"]["content"], "", headers
    events = chunks(response.iter_lines())
    content = "".join(choice["delta"].get("content") or "" for one in events for choice in one.get("choices", ()))
    error = next((json.dumps(one["error"]) for one in events if "error" in one), "")
    return 200, content, error, headers


def wrong(kind: int, status: int, content: str, error: str) -> str:
    """What is wrong with an answer; "" if nothing is."""
    name = list(KINDS)[kind]
    if status == 500 or not 200 <= status < 600:
        return f"{name}: status {status}"
    if KEY in error or "secret@" in error or (error and len(json.loads(error)["message"].splitlines()) != 1):
        return f"{name}: {error}"
    if name in COMES:
        return "" if content == TEXT and not error else f"{name}: {status} {content!r} {error}"
    if name in FAULTS:
        return "" if error else f"{name}: {status} {content!r}"
    return "" if not error and 400 < len(content) <= 500 else f"{name}: {status} {len(content)} characters {error}"


def run(count: int) -> tuple[list[str], Counter[int], int, bool]:
    """`count` hostile replies: what was wrong, statuses, connections left open, and whether the server is idle."""
    faults: list[str] = []
    statuses: Counter[int] = Counter()
    with hostile_upstream() as (upstream, url), serving(engine(url)) as server:
        for number in range(count):
            kind = number // 2 % len(KINDS)
            status, content, error, _ = ask(server, kind, stream=bool(number % 2))
            statuses[status] += 1
            faults += filter(None, [wrong(kind, status, content, error)])
        idle = server.idle()
        for _ in range(400):
            if not upstream.open:
                break
            threading.Event().wait(0.01)
        return faults, statuses, upstream.open, idle


if __name__ == "__main__":
    print(run(int(sys.argv[1])))
