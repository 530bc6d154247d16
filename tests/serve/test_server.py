"""Tests of z1.serve.server: start, graceful shutdown and exit of a server process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from z1.errors import UserError
from z1.serve.server import Address, make_server, run

PROGRAM = """
from tests.serve.scripts import scripted
from z1.serve.app import make_app
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.server import Address, run
app = make_app(ChatService(scripted(token_delay_s={token_delay_s}), RequestDefaults(), ServerLimits()))
run(app, Address(port=0, shutdown_timeout={timeout}), lambda url: print(url, flush=True))
"""


@contextmanager
def process(timeout: int, token_delay_s: float, first: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "src"), str(root)])
    command = [sys.executable, "-c", first + PROGRAM.format(timeout=timeout, token_delay_s=token_delay_s)]
    server = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield server, server.stdout.readline().strip()
    finally:
        server.kill()
        server.communicate()


ASK = {"model": "scripted", "messages": [{"role": "user", "content": "why?"}], "stream": True}


def test_after_a_signal_replies_finish_and_new_requests_are_refused() -> None:
    with process(timeout=60, token_delay_s=0.02) as (server, url), httpx.Client(base_url=url, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json=ASK) as stream:
            lines = stream.iter_lines()
            next(lines)
            server.send_signal(signal.SIGTERM)
            text = "".join(lines)
        assert text.endswith("data: [DONE]")
        assert '"finish_reason":"stop"' in text
        assert server.wait(60) in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            httpx.get(url + "/health")
        _, err = server.communicate()
        assert "Traceback" not in err


def test_after_the_shutdown_timeout_replies_are_cancelled() -> None:
    with (
        process(timeout=0, token_delay_s=5) as (server, url),
        httpx.Client(base_url=url, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json=ASK) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in (0, -signal.SIGTERM)  # the reply alone would take minutes


def test_an_address_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}.*choose another --port"):
            run(None, Address(port=port), print)


def test_idle_connections_outlive_those_of_proxies() -> None:
    """peonist-ai/halogen-flash-server 25, kserve/kserve 5446: after 5 s a proxy's connection is closed under it."""
    assert make_server(lambda: None, Address()).config.timeout_keep_alive >= 75


@pytest.mark.parametrize("address", [Address(port=99999), Address(port=-1), Address(host="x" * 300)])
def test_an_impossible_address_is_an_error(address: Address) -> None:
    with pytest.raises(UserError, match=r"choose another --port|give 0"):
        run(None, address, print)


def test_a_server_without_free_descriptors_writes_little_and_recovers() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
    with process(timeout=5, token_delay_s=0.0, first=limit) as (server, url):
        host, port = url.removeprefix("http://").split(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(150)]
        time.sleep(0.5)
        refused = connections[-1].recv(100)
        for connection in connections:
            connection.close()
        assert httpx.get(url + "/health", timeout=60).status_code == 200
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=60)
    assert refused.startswith(b"HTTP/1.1 503")
    assert len(err) < 2000
    assert err.count("no free file descriptors") == 1
    assert "Traceback" not in err
