"""The chat page at "/": one HTML file, three libraries beside it, and what it has to know of the model.

    GET /                 the page; it may run and load nothing but these files
    GET /chat/NAME.js     marked (Markdown), DOMPurify (what a model wrote is made harmless), Temml (maths as MathML)
    GET /chat/settings    the model, its thinking budgets and examples; needs the key, as every route of the API

The page is an ordinary client of the API. It asks for a key once and keeps it in the browser's tab.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse, HTMLResponse

from z1.models import EXAMPLES, SHIPPED
from z1.serve.middleware import CHAT_FILES
from z1.serve.runtime.service import ChatService

FOLDER = Path(__file__).parent / "chat_page"

UNLIMITED = -1

QUESTIONS = (
    "How many primes are below 60?",
    "A train leaves at 14:35 and arrives at 17:10. How long does it take?",
    "Write a Python function that returns the longest word of a sentence.",
)
"""Examples for a model of general use."""

ABOUT_SHIPPED = "z1-tiny knows one thing: what a small Python program prints. It thinks in steps of the program."


def mount(app: FastAPI, service: ChatService) -> None:
    """Add the page of a service to `app`."""
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": content_policy(page),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    @app.get("/", include_in_schema=False)
    async def chat_page() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    for path in CHAT_FILES - {"/"}:
        app.add_api_route(path, _file(FOLDER / Path(path).name), include_in_schema=False, response_model=None)

    @app.get("/chat/settings", include_in_schema=False)
    async def chat_settings() -> dict[str, Any]:
        return page_settings(service)


def _file(path: Path) -> Any:
    async def respond() -> FileResponse:
        return FileResponse(path, media_type="text/javascript", headers={"X-Content-Type-Options": "nosniff"})

    return respond


def content_policy(page: str) -> str:
    """The Content-Security-Policy of the page: its own inline style and script by hash, and files of this server."""
    style, script = (_hashes(page, tag) for tag in ("style", "script"))
    return (
        f"default-src 'none'; script-src 'self' {script}; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(page: str, tag: str) -> str:
    """The hashes of the inline elements of a kind, as sources of a policy."""
    texts = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def page_settings(service: ChatService) -> dict[str, Any]:
    """What the page shows of the served model; `thinking_budget` is the one that is chosen at first."""
    name, defaults = service.served_model_names[0], service.defaults
    is_shipped = service.engine.profile == SHIPPED
    context = service.engine.max_model_len
    budgets = thinking_budgets(context, defaults.max_thinking_budget)
    default = defaults.budget_of(name)
    return {
        "model": name,
        "about": ABOUT_SHIPPED if is_shipped else "",
        "max_model_len": context,
        "max_body_bytes": service.limits.max_body_bytes,
        "thinking_budgets": budgets,
        "thinking_budget": _nearest(budgets, default),
        "examples": EXAMPLES if is_shipped else QUESTIONS,
        "are_programs": is_shipped,
    }


def thinking_budgets(max_model_len: int, most: int | None) -> list[int]:
    """The budgets to choose from: none, powers of two that leave the context room, and `most` or unlimited."""
    limit = min(max_model_len // 2, most if most is not None else max_model_len)
    steps = [0, *(2**power for power in range(4, 31) if 2**power <= limit)]
    return steps + ([UNLIMITED] if most is None else [most] * (most not in steps and most <= max_model_len))


def _nearest(budgets: list[int], default: int | None) -> int:
    """The budget of the list that is nearest to the default; without one, or without a limit, the last."""
    if default is None or default == UNLIMITED:
        return budgets[-1]
    return min((one for one in budgets if one != UNLIMITED), key=lambda one: abs(one - default))
