"""The chat page: what its server says, and a walk through it in Chromium (tests.serve.paged has the model)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.serve.browser import CHROMIUM, Tab, tab
from tests.serve.conftest import Served, serving
from tests.serve.paged import ATTACKS, QUESTION
from tests.serve.scripts import scripted
from z1.models import EXAMPLES
from z1.serve import chat_ui
from z1.serve.api.request_parser import RequestDefaults


def mounted(app: Any, service: Any) -> None:
    chat_ui.mount(app, service)


@pytest.fixture(scope="module")
def locked_page() -> Iterator[Served]:
    with serving(scripted(length=1024), prepare=mounted, key="opensesame") as served:
        yield served


def test_the_page_needs_no_key_and_what_it_reads_does(locked_page: Served) -> None:
    page = locked_page.get("/")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    for name in ("marked", "dompurify", "temml"):
        script = locked_page.get(f"/chat/{name}.js")
        assert script.status_code == 200 and script.headers["content-type"].startswith("text/javascript")
    assert locked_page.get("/chat/settings").status_code == 401
    settings = locked_page.client.get("/chat/settings", headers={"x-api-key": "opensesame"}).json()
    assert settings["model"] == "scripted" and settings["examples"] == list(EXAMPLES)


def test_the_page_may_load_and_run_its_own_files_only(locked_page: Served) -> None:
    policy = locked_page.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "http" not in policy
    page = locked_page.get("/").text
    assert "http://" not in page and "https://" not in page and " onclick=" not in page and ' style="' not in page


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("POST", "/chat/upload"), ("GET", "/chat/page.html")]
)
def test_there_is_nothing_else_behind_the_page(locked_page: Served, method: str, path: str) -> None:
    reply = locked_page.client.request(method, path, headers={"x-api-key": "opensesame"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_url")


def test_budgets_are_those_that_the_context_has_room_for() -> None:
    assert chat_ui.thinking_budgets(1024, None) == [0, 16, 32, 64, 128, 256, 512, -1]
    assert chat_ui.thinking_budgets(1024, 100) == [0, 16, 32, 64, 100]
    assert chat_ui.thinking_budgets(4096, 64) == [0, 16, 32, 64]
    assert chat_ui.thinking_budgets(16, None) == [0, -1]


@pytest.mark.parametrize(("default", "chosen"), [(None, -1), (-1, -1), (0, 0), (100, 128), (9999, 512)])
def test_the_servers_default_is_chosen_at_first(default: int | None, chosen: int) -> None:
    defaults = RequestDefaults(thinking_budget=default)
    with serving(scripted(length=1024), defaults, prepare=mounted) as served:
        assert served.get("/chat/settings").json()["thinking_budget"] == chosen


TURNS = "document.getElementById('turns').innerText"
ERROR = "document.querySelector('#turns .error')?.innerText"
STATUS = "document.getElementById('status').innerText"
IS_THINKING = "!document.getElementById('now').hidden"
IS_IDLE = "!document.getElementById('send').hidden"


@asynccontextmanager
async def opened(folder: Path, *key: str) -> AsyncIterator[tuple[Tab, subprocess.Popen[str]]]:
    """The page in a browser, and the process of its server."""
    command = [sys.executable, "-m", "tests.serve.paged", *key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = (await asyncio.to_thread(server.stdout.readline)).strip()
            async with tab(url, folder / "browser") as page:
                await page.wait("!!document.getElementById('question')")
                yield page, server
        finally:
            server.kill()


async def ask(page: Tab, text: str) -> None:
    """Type a message and send it, by keyboard."""
    await page.wait(IS_IDLE)
    await page.evaluate("document.getElementById('question').focus()")
    await page.insert(text)
    await page.press("Enter")


async def tab_to(page: Tab, name: str) -> None:
    """Press Tab until the element `name` has the focus."""
    for _ in range(30):
        if await page.evaluate("document.activeElement.id || document.activeElement.innerText") == name:
            return
        await page.press("Tab")
    raise AssertionError(f"Tab does not reach {name}")


def walk(steps: Any) -> None:
    asyncio.run(asyncio.wait_for(steps, 240))


in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")


@pytest.mark.slow
@in_chromium
def test_by_keyboard_a_thought_streams_and_answer_now_ends_it(tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened(tmp_path) as (page, _):
            await page.wait("document.querySelectorAll('#examples button').length === 3")
            await page.press("Enter")  # an empty message
            assert await page.evaluate(TURNS) == "" and await page.evaluate(IS_IDLE)
            await tab_to(page, EXAMPLES[0].strip())
            await page.press("Enter")
            await page.wait(f"{TURNS}.includes('until the model was done thinking')")
            assert await page.evaluate("document.activeElement.id") == "question"
            await ask(page, QUESTION)
            await page.wait(f"{IS_THINKING} && {TURNS}.includes('so\\n  we think and')")
            await page.insert("next question")
            await page.press("Tab")
            assert await page.evaluate("document.activeElement.id") == "now"
            await page.press("Enter")
            await page.wait(f"{TURNS}.includes('until you asked for the answer')")
            await page.wait(f"!({IS_THINKING}) && {IS_IDLE}")
            assert await page.evaluate("document.getElementById('question').value") == "next question"
            await page.evaluate("document.getElementById('question').value = ''")
            await tab_to(page, "budget")
            await page.press("Home")
            await page.press("ArrowRight")
            assert (
                await page.evaluate("document.getElementById('budget').getAttribute('aria-valuetext')") == "16 tokens"
            )
            await ask(page, QUESTION)
            await page.wait(f"{TURNS}.includes('Thought 16 tokens of 16, until the thinking budget was used up')")
            await ask(page, QUESTION)
            await page.wait(IS_THINKING)

    walk(steps())


@pytest.mark.slow
@in_chromium
def test_what_a_model_writes_is_rendered_and_never_runs(tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened(tmp_path) as (page, _):
            await ask(page, "show")
            await page.wait(f"{IS_IDLE} && {TURNS}.includes('Answer:')")
            answer = "#turns .turn:last-child > .text"
            for tag, count in {"strong": 1, "pre code": 1, "math[display=block]": 1, "math": 3}.items():
                assert await page.evaluate(f"document.querySelectorAll('{answer} {tag}').length") >= count, tag
            for at, name in enumerate(ATTACKS, 2):
                await ask(page, name)
                await page.wait(f"{IS_IDLE} && {TURNS}.split('Answer:').length === {at + 1}")
            assert "cut off" not in await page.evaluate(TURNS)
            assert await page.evaluate("window.hacked") is None
            for tag in ("script", "img", "iframe", "form", "input", "svg", "[style]", "[onclick]", "[id]", "a[href]"):
                assert await page.evaluate(f"document.querySelectorAll('#turns .text {tag}').length") == 0, tag

    walk(steps())


@pytest.mark.slow
@in_chromium
def test_on_a_phone_in_the_dark_ten_turns_and_any_script(tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened(tmp_path) as (page, _):
            await page.look(390, 400, dark=True)
            await page.wait("document.querySelectorAll('#examples button').length === 3")
            await page.wait("scroll.scrollHeight > scroll.clientHeight")
            await page.look(390, 399, dark=True)
            await asyncio.sleep(0.5)  # what follows a change of size
            assert await page.evaluate("scroll.scrollTop") == 0
            await page.look(390, 800, dark=True)
            for at in range(10):
                await ask(page, f"turn {at}")
                await page.wait(f"{IS_IDLE} && {TURNS}.split('until the model was done').length === {at + 2}")
            await ask(page, "\u05e9\u05dc\u05d5\u05dd \U0001f642")
            await page.wait(f"{IS_IDLE} && {TURNS}.split('until the model was done').length === 12")
            direction = "getComputedStyle(document.querySelector('#turns .mine:nth-last-child(2) .plain')).direction"
            assert await page.evaluate(direction) == "rtl"
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390
            end = "scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight"
            assert await page.evaluate(end) < 80

    walk(steps())


@pytest.mark.slow
@in_chromium
def test_a_server_that_is_killed_ends_the_reply_with_a_sentence(tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened(tmp_path) as (page, server):
            await ask(page, "a question without a reply")
            await page.wait(f"({ERROR} || '').startsWith('The model has failed')")
            await page.evaluate("document.getElementById('question').value = ''")
            await ask(page, "x" * 1_050_000)
            await page.wait(f"{STATUS} === 'The message is too long: the server takes 1,024 KB.'")
            assert await page.evaluate("document.getElementById('question').value.length") == 1_050_000
            await page.evaluate("document.getElementById('question').value = ''")
            await ask(page, QUESTION)
            await page.wait(f"{IS_THINKING} && {TURNS}.includes('so\\n  we think')")  # the stream has begun
            server.kill()
            await page.wait(f"{STATUS} === 'The server stopped before the answer was complete.'")
            assert await page.evaluate(IS_IDLE) and not await page.evaluate(IS_THINKING)
            await ask(page, QUESTION)
            await page.wait(f"{STATUS}.startsWith('The server cannot be reached')")

    walk(steps())


@pytest.mark.slow
@in_chromium
def test_a_key_is_asked_for_until_it_is_right(tmp_path: Path) -> None:
    async def steps() -> None:
        async with opened(tmp_path, "opensesame") as (page, _):
            is_open, wrong = "document.getElementById('ask-key').open", "document.getElementById('key-wrong').hidden"
            await page.wait(is_open)
            assert await page.evaluate(wrong)
            await page.insert("sesame")
            await page.press("Enter")
            await page.wait(f"{is_open} && !{wrong}")
            await page.insert("opensesame")
            await page.press("Enter")
            await page.wait("document.querySelectorAll('#examples button').length === 3")
            await ask(page, "turn 1")
            await page.wait(f"{TURNS}.includes('until the model was done')")
            await page.call("Page.reload")
            await page.wait("document.querySelectorAll('#examples button').length === 3")
            assert not await page.evaluate(is_open)

    walk(steps())


@pytest.mark.real
@in_chromium
def test_axe_finds_no_serious_fault(tmp_path: Path) -> None:
    folder = os.environ.get("NPM_CLIENTS")
    if folder is None:
        pytest.skip("NPM_CLIENTS is not set: make test-real installs axe-core with npm")
    axe = (Path(folder) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")

    async def steps() -> None:
        async with opened(tmp_path) as (page, _):
            for dark in (False, True):
                for width in (390, 1100):
                    await page.look(width, 800, dark=dark)
                    assert await page.serious_faults(axe) == []
                    await ask(page, "show")
                    await page.wait(f"{IS_IDLE} && {TURNS}.includes('Answer:')")
                    assert await page.serious_faults(axe) == []
                    await ask(page, QUESTION)
                    await page.wait(IS_THINKING)
                    assert await page.serious_faults(axe) == []
                    await page.press("Escape")
                    await page.wait(IS_IDLE)
                    await page.click("#new")

    walk(steps())
