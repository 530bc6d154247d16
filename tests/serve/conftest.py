"""Servers for the tests of `serve`: uvicorn in a thread of the test process, on a free loopback port."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.chat_servers import chat_gguf
from tests.serve.scripts import scripted
from tests.vllm_server import vllm_python
from z1.engines import Engine
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.server import Address, make_server

__all__ = ["Served", "chat_gguf", "chunks", "named_events", "served", "serving", "vllm_python"]

OWN_SETTINGS = ("ledger", "exit_policy")


@dataclass
class Served:
    """A server that listens at `url`."""

    url: str
    service: ChatService
    client: httpx.Client

    def post(self, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
        return self.client.post(path, json=body)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def idle(self) -> bool:
        """Wait at most 30 seconds until no reply is running; whether that is so."""
        deadline = time.monotonic() + 30
        while (self.service.running_replies or self.service.runner.running_requests) and time.monotonic() < deadline:
            time.sleep(0.005)
        return not self.service.running_replies and not self.service.runner.running_requests


def chunks(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The events of a stream, which must end with [DONE]."""
    data = [line.removeprefix("data: ") for line in lines if line]
    assert data[-1] == "[DONE]"
    return [json.loads(one) for one in data[:-1]]


def named_events(reply: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream of named events; each name is its event's type."""
    assert reply.status_code == 200, reply.text
    found = []
    for block in reply.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@contextmanager
def serving(
    engine: Engine,
    defaults: RequestDefaults | None = None,
    limits: ServerLimits | None = None,
    wrap: Callable[[Any], Any] = lambda app: app,
    prepare: Callable[[Any, ChatService], None] = lambda app, service: None,
    **settings: Any,
) -> Iterator[Served]:
    """A server of `engine`; `prepare` gets its application and service, and `wrap` makes an application around it.
    `settings` are those of `make_app`, `ledger` and `exit_policy`.
    """
    defaults, own = defaults or RequestDefaults(temperature=0.0), [settings.pop(n, None) for n in OWN_SETTINGS]
    service = ChatService(engine, defaults, limits or ServerLimits(), *own)
    app = make_app(service, **settings)
    prepare(app, service)
    uvicorn_server = make_server(wrap(app), Address(port=0, shutdown_timeout=5))
    thread = threading.Thread(target=uvicorn_server.run)
    thread.start()
    try:
        while not uvicorn_server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        url = f"http://127.0.0.1:{uvicorn_server.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=60, verify=False) as client:  # without certificates: 20 ms
            yield Served(url, service, client)
    finally:
        uvicorn_server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(scripted()) as server:
        yield server
