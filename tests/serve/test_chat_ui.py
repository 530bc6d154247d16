"""Tests of z1.serve.chat_ui."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the chat page needs the extra chat")


from tests.serve.browser import CHROMIUM, tab
from tests.serve.paged import QUESTION
from z1.serve.chat_ui import ChatTurn, budget_summary, displayed_messages, request_messages

BUDGET = {
    "used": 30, "limit": 64, "hint_tokens": 9, "probe_tokens": 0, "answer_tokens": 2, "reason": "budget",
    "answer_ms": 1290.0,
}  # fmt: skip


def test_the_budget_summary() -> None:
    assert budget_summary(BUDGET) == (
        "thought 30 of 64 · hint 9 · answer 2 · stopped thinking: budget · answer after 1.29 s"
    )
    free = BUDGET | {"limit": None, "probe_tokens": 5, "answer_ms": None}
    assert budget_summary(free) == "thought 30 · hint 9 · probes 5 · answer 2 · stopped thinking: budget"


def test_thought_and_answer_are_separate_messages() -> None:
    thinking = ChatTurn("  so ``` far", thinking_tokens=5)
    (only,) = thinking.messages()
    assert only["metadata"] == {"title": "Thought · 5 tokens", "status": "pending"}
    assert only["content"] == "````text\n  so ``` far\n````"
    thought, answer, line = ChatTurn("so", "seven", 5, 1, BUDGET).messages()
    assert (thought["metadata"]["status"], answer["content"]) == ("done", "seven")
    assert line["content"] == f"*{budget_summary(BUDGET)}*"
    assert [message["content"] for message in ChatTurn(error="no model").messages()] == ["**no model**"]


def test_requests_have_no_thoughts_and_no_failed_turns() -> None:
    history = [("q1", ChatTurn("t1", "a1", budget=BUDGET)), ("q2", ChatTurn("t2", error="gone"))]
    assert [(message["role"], message["content"]) for message in request_messages(history, "q3")] == [
        ("user", "q1"), ("assistant", "a1"), ("user", "q3"),
    ]  # fmt: skip
    assert len(displayed_messages(history)) == 2 + 3 + 2


UNKNOWN_ROUTES = """
import json
from fastapi.testclient import TestClient
from tests.serve.scripts import scripted
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.chat_ui import mount
from z1.serve.runtime.service import ChatService, ServerLimits
service = ChatService(scripted(), RequestDefaults(), ServerLimits())
found = {}
page = mount(make_app(service), "scripted", service.count_tokens, 9)
with TestClient(page, base_url="http://localhost") as client:
    for method, path in (("GET", "/"), ("GET", "/docs"), ("GET", "/nowhere"), ("POST", "/v1/responses"), ("PUT", "/")):
        reply = client.request(method, path)
        is_json = reply.headers["content-type"] == "application/json"
        found[f"{method} {path}"] = reply.status_code, reply.json()["error"] if is_json else None
print(json.dumps(found))
"""


@pytest.mark.slow
def test_unknown_routes_behind_the_page_have_openais_format() -> None:
    # a process of its own, since Gradio leaves sockets and event loops open
    done = subprocess.run([sys.executable, "-c", UNKNOWN_ROUTES], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["GET /"] == found["GET /docs"] == [200, None]
    for route in ("GET /nowhere", "POST /v1/responses"):
        status, error = found[route]
        assert (status, error["code"]) == (404, "unknown_url") and f"({route})" in error["message"]
    assert (found["PUT /"][0], found["PUT /"][1]["code"]) == (405, "method_not_supported")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_in_a_browser_a_thought_streams_and_answer_now_ends_it(tmp_path: Path) -> None:
    async def use(url: str) -> None:
        async with tab(url, tmp_path / "browser") as page:
            shown = "document.querySelector('#chat').innerText"
            await page.click("#unlimited input")
            await page.type("#ask textarea", QUESTION)
            await page.click("#send")
            await page.wait(f"{shown}.includes('so\\n  we think and')")
            assert "stopped thinking" not in await page.evaluate(shown)
            await page.type("#ask textarea", "next question")
            await page.click("#now")
            await page.wait(f"{shown}.includes('stopped thinking: control')")
            assert "\\boxed{8}." in await page.evaluate(shown)
            assert await page.evaluate("document.querySelector('#ask textarea').value") == "next question"
            await page.click("#unlimited input")
            await page.type("#budget input[type=number]", "5")
            await page.type("#ask textarea", QUESTION)
            # the page ignores the button until the first reply is complete
            await page.click_until("#send", f"{shown}.split('print(7)').length > 2")
            await page.wait(f"{shown}.includes('thought 5 of 5')")
            assert (await page.evaluate(shown)).count("boxed{8}") == 2
            await page.screenshot(tmp_path / "page.png")

    command = [sys.executable, "-m", "tests.serve.paged"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            asyncio.run(use(server.stdout.readline().strip()))
        finally:
            server.terminate()
    assert (tmp_path / "page.png").stat().st_size > 10_000
