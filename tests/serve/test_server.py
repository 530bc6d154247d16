"""Does a server process come up, drain, and go?"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from z1.errors import UserError
from z1.serve.server import Address, run

PROGRAM = """
from tests.serve.scripts import scripted
from z1.serve.app import make_app
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.server import Address, run
app = make_app(ChatService(scripted(pace={pace}), RequestDefaults(), ServerLimits()))
run(app, Address(port=0, grace={grace}), lambda url: print(url, flush=True))
"""


@contextmanager
def process(grace: int, pace: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "src"), str(root)])
    command = [sys.executable, "-c", PROGRAM.format(grace=grace, pace=pace)]
    made = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    try:
        yield made, made.stdout.readline().strip()
    finally:
        made.kill()
        made.communicate()


ASK = {"model": "scripted", "messages": [{"role": "user", "content": "why?"}], "stream": True}


def test_a_signal_lets_replies_finish_and_lets_nobody_new_in() -> None:
    with process(grace=60, pace=0.02) as (made, url), httpx.Client(base_url=url, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json=ASK) as stream:
            lines = stream.iter_lines()
            next(lines)
            made.send_signal(signal.SIGTERM)
            text = "".join(lines)
        assert text.endswith("data: [DONE]")
        assert '"finish_reason":"stop"' in text
        assert made.wait(60) in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            httpx.get(url + "/health")
        _, err = made.communicate()
        assert "Traceback" not in err


def test_after_the_grace_replies_are_given_up() -> None:
    with (
        process(grace=0, pace=5) as (made, url),
        httpx.Client(base_url=url, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json=ASK) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        made.send_signal(signal.SIGTERM)
        assert made.wait(60) in (0, -signal.SIGTERM)  # its reply would take minutes


def test_an_address_that_is_taken_is_refused_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}.*choose another --port"):
            run(None, Address(port=port), print)
