"""A chat request crosses few files from `app.py` to `Engine.open` and back (docs/architecture.md lists them)."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

import z1
from tests.serve.scripts import ASK, scripted
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.runtime.service import ChatService, ServerLimits

PACKAGE = str(Path(z1.__file__).parent) + "/"
MAX_FILES = 16


def crossed_files(**fields: Any) -> set[str]:
    """The files of z1 that one request crosses, without the engine and the middleware before `app.py`."""
    files: set[str] = set()

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            files.add(frame.f_code.co_filename.removeprefix(PACKAGE))

    async def run() -> None:
        app = make_app(ChatService(scripted(), RequestDefaults(temperature=0.0), ServerLimits()))
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as one,
        ):
            threading.setprofile(record)
            sys.setprofile(record)
            try:
                response = await one.post("/v1/chat/completions", json={**ASK, "thinking_budget": 12, **fields})
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
            assert response.status_code == 200

    asyncio.run(run())
    return {name for name in files if not name.startswith("engines/")} - {"serve/middleware.py"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_request_crosses_at_most_16_files(stream: bool) -> None:
    files = crossed_files(stream=stream)
    assert "serve/app.py" in files and "think/flow.py" in files
    assert len(files) <= MAX_FILES, sorted(files)
