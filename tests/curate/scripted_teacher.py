"""A scripted teacher: an OpenAI-compatible server with scripted faults and dialects.

It listens on localhost. The script chooses what it does with a request, from the prompt and the number of earlier
requests for it. `sent` lists the prompts with a complete answer. The text of a reply is a function of its prompt.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[str, int], str]
"""From a prompt and the number of earlier requests for it to one of FAULTS, of DIALECTS, or a status."""

STATUSES = {
    "fail": 500,
    "bad gateway": 502,
    "unavailable": 503,
    "hang": 504,
    "overloaded": 529,
    "late": 408,
    "busy": 409,
}

BODIES = {
    "no choices": b'{"choices": []}',
    "nothing": b"",
    "html": b"<html>Bad gateway</html>",
    "null": b"null",
    "list": b"[1]",
    "text": b'"ok"',
    "error": b'{"error": {"message": "overloaded", "code": 529}}',
    "no message": b'{"choices": [{"finish_reason": "stop"}]}',
    "null message": b'{"choices": [{"message": null}]}',
    "bytes": b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
    "nested": b"[" * 100_000,
}
"""Bodies with status 200 that hold no reply."""

LIMITS = {"limit": "0.01", "limit by date": format_datetime(datetime.now(UTC), usegmt=True), "limit by word": "soon"}
"""The `retry-after` of a 429."""

BROKEN = ("broken", "drop", "half", "no http")
"""A body that ends too soon; a connection that is closed without an answer, within the body, or after no HTTP."""

FAULTS = (*STATUSES, *BODIES, *LIMITS, *BROKEN)


def text(prompt: str) -> str:
    return f"Thinking about {prompt}\n\nThe answer is {sha256(prompt.encode()).hexdigest()[:8]}."


DIALECTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "ok": lambda said: {},
    "cut": lambda said: {"finish_reason": "length"},
    "another end": lambda said: {"finish_reason": "end_turn"},
    "no end": lambda said: {"finish_reason": None},
    "parts": lambda said: {"content": [{"type": "text", "text": said[:5]}, {"type": "text", "text": said[5:]}]},
    "thought beside": lambda said: {"reasoning_content": "t"},
    "thought in parts": lambda said: {
        "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": said}]
    },
    "surrogate": lambda said: {"reasoning": "\ud83d"},
    "no usage": lambda said: {"usage": None},
    "usage of words": lambda said: {"usage": {"prompt_tokens": "many"}},
    "refused with reason": lambda said: {"content": None, "refusal": said},
    "refusal": lambda said: {"content": None, "refusal": "No."},
    "empty": lambda said: {"content": ""},
}
"""Complete replies: what each changes in the plain one."""

SAYS_THE_TEXT = tuple(name for name in DIALECTS if name not in ("refusal", "empty"))


def well(_prompt: str, _times: int) -> str:
    return "ok"


def faulty(prompt: str, times: int) -> str:
    """Every other request fails with one of the faults; the fifth attempt always succeeds, in one of the dialects."""
    draw = sha256(f"{prompt}:{times}".encode()).digest()
    if draw[0] >= 128 or times >= 4:
        return SAYS_THE_TEXT[draw[1] % len(SAYS_THE_TEXT)]
    return FAULTS[draw[1] % len(FAULTS)]


class Teacher:
    """`sent` and `asked` may be read at any time; `most` is the highest number of concurrent requests."""

    def __init__(self, script: Script = well, wait_s: float = 0.0, hang_s: float = 1.0) -> None:
        self.script, self.wait_s, self.hang_s = script, wait_s, hang_s
        self.sent: list[str] = []
        self.asked: Counter[str] = Counter()
        self.did: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.open = self.most = 0
        self.lock = threading.Lock()
        self.url = ""

    def does(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        prompt = body["messages"][0]["content"]
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self.asked[prompt] += 1
            chosen = self.script(prompt, self.asked[prompt] - 1)
            self.did[chosen] += 1
            return chosen


def completion(prompt: str, dialect: str = "ok") -> bytes:
    said = text(prompt)
    change = DIALECTS[dialect](said)
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(said), "total_tokens": len(prompt + said)}
    end, usage = change.pop("finish_reason", "stop"), change.pop("usage", usage)
    choice = {"index": 0, "message": {"role": "assistant", "content": said, **change}, "finish_reason": end}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def handler(teacher: Teacher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with teacher.lock:
                teacher.open += 1
                teacher.most = max(teacher.most, teacher.open)
            try:
                self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            except OSError:
                self.close_connection = True  # the client was killed
            finally:
                with teacher.lock:
                    teacher.open -= 1

        def answer(self, body: dict[str, Any]) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            prompt, does = body["messages"][0]["content"], teacher.does(body, headers)
            time.sleep(teacher.hang_s if does == "hang" else teacher.wait_s)
            if does in DIALECTS:
                self.send(200, completion(prompt, does))
                with teacher.lock:
                    teacher.sent.append(prompt)
            elif does in BODIES:
                self.send(200, BODIES[does])
            elif does in LIMITS:
                self.send(429, b'{"error": {"message": "no"}}', {"retry-after": LIMITS[does]})
            elif does in BROKEN:
                self.breaks(does, completion(prompt))
            else:
                status = STATUSES.get(does) or int(does)
                elsewhere = {"location": f"{teacher.url}/elsewhere"} if status < 400 else {}
                self.send(status, b'{"error": {"message": "no"}}', elsewhere)

        def breaks(self, does: str, whole: bytes) -> None:
            if does == "broken":
                self.send(200, whole[: len(whole) // 2])
                return
            self.close_connection = True
            if does == "half":
                self.send(200, whole[: len(whole) // 2], {"content-length": str(len(whole))})
            elif does == "no http":
                self.wfile.write(b"\x15\x03\x01 this is no HTTP\r\n\r\n")

        def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            lengths = {"content-type": "application/json", "content-length": str(len(body))}
            for name, value in {**lengths, **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed client is not an error."""


@contextmanager
def serving(teacher: Teacher) -> Iterator[Teacher]:
    server = Server(("127.0.0.1", 0), handler(teacher))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    teacher.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield teacher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def plan(url: str, questions: Sequence[str], more: str = "") -> tuple[str, str]:
    """A plan with the teacher at `url`, and the table of its questions."""
    rows = "".join(json.dumps({"id": f"p{n}", "question": question}) + "\n" for n, question in enumerate(questions))
    teacher = f'[teacher]\nurl = "{url}"\nmodel = "scripted"\nretry_wait_s = 0.01\ntimeout_s = 20.0\n{more}'
    return f'name = "asked"\n[[source]]\npath = "problems.jsonl"\n{teacher}', rows
