"""Can a person try budgets by hand?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the chat page needs gradio: pip install 'z1[chat]'")

from tests.serve.browser import CHROMIUM, tab
from tests.serve.paged import QUESTION
from z1.serve.chat_ui import ChatTurn, account, conversation, turns

BUDGET = {
    "used": 30, "limit": 64, "hint_tokens": 9, "probe_tokens": 0, "answer_tokens": 2, "reason": "budget",
    "answer_ms": 1290.0,
}  # fmt: skip


def test_the_account_in_a_line() -> None:
    assert account(BUDGET) == ("thought 30 of 64 · hint 9 · answer 2 · stopped thinking: budget · answer after 1.29 s")
    free = BUDGET | {"limit": None, "probe_tokens": 5, "answer_ms": None}
    assert account(free) == "thought 30 · hint 9 · probes 5 · answer 2 · stopped thinking: budget"


def test_thought_and_answer_stand_apart() -> None:
    thinking = ChatTurn("  so ``` far", thought_tokens=5)
    (only,) = thinking.turns()
    assert only["metadata"] == {"title": "Thought · 5 tokens", "status": "pending"}
    assert only["content"] == "````text\n  so ``` far\n````"
    thought, answer, line = ChatTurn("so", "seven", 5, 1, BUDGET).turns()
    assert (thought["metadata"]["status"], answer["content"]) == ("done", "seven")
    assert line["content"] == f"*{account(BUDGET)}*"
    assert [turn["content"] for turn in ChatTurn(fault="no model").turns()] == ["**no model**"]


def test_what_is_sent_has_no_thoughts_and_nothing_that_failed() -> None:
    talk = [("q1", ChatTurn("t1", "a1", budget=BUDGET)), ("q2", ChatTurn("t2", fault="gone"))]
    assert [(turn["role"], turn["content"]) for turn in conversation(talk, "q3")] == [
        ("user", "q1"), ("assistant", "a1"), ("user", "q3"),
    ]  # fmt: skip
    assert len(turns(talk)) == 2 + 3 + 2


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_in_a_real_browser_a_thought_streams_and_is_asked_for_its_answer(tmp_path: Path) -> None:
    async def use(url: str) -> None:
        async with tab(url, tmp_path / "browser") as page:
            shown = "document.querySelector('#chat').innerText"
            await page.click("#free input")
            await page.type("#ask textarea", QUESTION)
            await page.click("#send")
            await page.wait(f"{shown}.includes('so\\n  we think and')")
            assert "stopped thinking" not in await page.look(shown)
            await page.click("#now")
            await page.wait(f"{shown}.includes('stopped thinking: control')")
            assert "\\boxed{8}." in await page.look(shown)
            await page.click("#free input")
            await page.type("#budget input[type=number]", "5")
            await page.type("#ask textarea", QUESTION)
            await page.click("#send")
            await page.wait(f"{shown}.includes('thought 5 of 5')")
            assert (await page.look(shown)).count("boxed{8}") == 2
            await page.photograph(tmp_path / "page.png")

    command = [sys.executable, "-m", "tests.serve.paged"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            asyncio.run(use(server.stdout.readline().strip()))
        finally:
            server.terminate()
    assert (tmp_path / "page.png").stat().st_size > 10_000
