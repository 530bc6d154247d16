"""A scripted teacher: an OpenAI-compatible server with scripted faults.

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
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("fail", "hang", "limit", "broken", "drop", "empty")

Script = Callable[[str, int], str]
"""From a prompt and the number of earlier requests for it to one of FAULTS, "ok", "cut", "refusal", "nothing", or a
status.
"""


def text(prompt: str) -> str:
    return f"Thinking about {prompt}\n\nThe answer is {sha256(prompt.encode()).hexdigest()[:8]}."


def well(_prompt: str, _times: int) -> str:
    return "ok"


def faulty(prompt: str, times: int) -> str:
    """Every other request fails with one of the faults; the fifth attempt always succeeds."""
    draw = sha256(f"{prompt}:{times}".encode()).digest()
    if draw[0] >= 128 or times >= 4:
        return "ok"
    return FAULTS[0] if draw[1] < 80 else FAULTS[draw[1] % len(FAULTS)]


class Teacher:
    """`sent` and `asked` may be read at any time; `most` is the highest number of concurrent requests."""

    def __init__(self, script: Script = well, wait_s: float = 0.0, hang_s: float = 1.0) -> None:
        self.script, self.wait_s, self.hang_s = script, wait_s, hang_s
        self.sent: list[str] = []
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.open = self.most = 0
        self.lock = threading.Lock()
        self.url = ""

    def does(self, body: dict[str, Any]) -> str:
        prompt = body["messages"][0]["content"]
        with self.lock:
            self.bodies.append(body)
            self.asked[prompt] += 1
            return self.script(prompt, self.asked[prompt] - 1)


def completion(prompt: str, end: str = "stop") -> bytes:
    said = text(prompt)
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": end}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(said), "total_tokens": len(prompt + said)}
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
            prompt, does = body["messages"][0]["content"], teacher.does(body)
            time.sleep(teacher.hang_s if does == "hang" else teacher.wait_s)
            whole = completion(prompt, "length" if does == "cut" else "stop")
            if does == "drop":
                self.close_connection = True
            elif does in ("ok", "cut"):
                self.send(200, whole)
                with teacher.lock:
                    teacher.sent.append(prompt)
            elif does in ("refusal", "nothing"):
                said = {"content": None, "refusal": "No."} if does == "refusal" else {"content": ""}
                self.send(200, json.dumps({"choices": [{"message": said, "finish_reason": "stop"}]}).encode())
            elif does in ("broken", "empty"):
                self.send(200, whole[: len(whole) // 2] if does == "broken" else b'{"choices": []}')
            else:
                status = {"fail": 500, "limit": 429, "hang": 504}.get(does) or int(does)
                self.send(status, b'{"error": {"message": "no"}}', {"retry-after": "0.01"} if does == "limit" else {})

        def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
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
