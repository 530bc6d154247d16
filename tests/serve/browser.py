"""A headless Chromium page, controlled with the DevTools protocol (https://chromedevtools.github.io)."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
    "--no-first-run", "--disable-extensions", "--window-size=1200,1000",
)  # fmt: skip

CODES = {" ": "Space"}
VIRTUAL_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35}

TIMEOUT = 120.0
"""Seconds to wait for a condition on a page."""


class Tab:
    """One tab of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._count = socket, 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while True:
            response = json.loads((await self._socket.receive()).data)
            if response.get("id") == self._count:
                assert "error" not in response, response
                return dict(response["result"])

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        response = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in response, response
        return response["result"].get("value")

    async def wait(self, script: str) -> Any:
        """Wait until an expression is true; return its value."""
        until = time.monotonic() + TIMEOUT
        while not (value := await self.evaluate(script)):
            assert time.monotonic() < until, (
                f"{script}: still false on\n{await self.evaluate('document.body.innerText')}"
            )
            await asyncio.sleep(0.05)
        return value

    async def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key, such as "Tab" or "Enter"; `modifiers` are the protocol's (8 is Shift)."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        fields = {"key": key, "code": CODES.get(key, key), "windowsVirtualKeyCode": VIRTUAL_KEYS.get(key, 0)}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            given = {"text": text} if kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, modifiers=modifiers, **fields, **given)

    async def insert(self, text: str) -> None:
        """Type or paste `text` where the focus is."""
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click an element."""
        await self.wait(f"!!document.querySelector({selector!r})")
        await self.evaluate(f"document.querySelector({selector!r}).click()")

    async def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show the page in a window of this size, to a reader whose system is light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def serious_faults(self, axe: str) -> list[str]:
        """The serious faults that axe-core, whose source is `axe`, finds on the page."""
        await self.evaluate(f"{axe}; null")
        script = (
            "axe.run().then(found => found.violations.filter(one => ['serious', 'critical'].includes(one.impact))"
            ".map(one => `${one.id}: ${one.nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')}`))"
        )
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return list(result["result"]["value"])

    async def screenshot(self, path: Path) -> None:
        """Save a screenshot as PNG."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"]))


@asynccontextmanager
async def tab(url: str, folder: Path) -> AsyncIterator[Tab]:
    """A tab that shows `url`; the browser's profile is in `folder`."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as response:
                pages = [page for page in await response.json() if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Tab(socket)
                await page.call("Page.navigate", url=url)
                yield page
    finally:
        browser.terminate()
        browser.wait()


async def _port(path: Path) -> int:
    until = time.monotonic() + TIMEOUT
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < until, "the browser did not start"
        await asyncio.sleep(0.05)
    return int(path.read_text().split()[0])
