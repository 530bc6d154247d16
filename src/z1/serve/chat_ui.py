"""Chat page in front of the server's own API, with Gradio.

The page has a slider for the thinking budget, shows thought and answer separately while they stream, counts tokens as
they arrive, has an "Answer now" button, and shows the `budget` object under each reply. It is an ordinary client of the
API; only the live token count uses the service's tokenizer directly.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import gradio
from fastapi import FastAPI
from openai import APIError, AsyncOpenAI
from starlette.requests import Request
from starlette.responses import JSONResponse

from z1.serve.error_handlers import http_error_body

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

UNLIMITED = -1

CSS = "footer {display: none !important}"

WELCOME = "Ask a question. The slider sets the thinking budget in tokens; **Answer now** ends the thought."

TokenCounter = Callable[[str], Awaitable[int]]
"""Number of tokens of a text."""

MessageDict = dict[str, Any]
"""A message in the format of Gradio and of the API."""

History = list[tuple[str, "ChatTurn"]]
"""Questions and replies so far."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """The settings of the page: `thinking_budget` in tokens, or UNLIMITED."""

    thinking_budget: int

    def extra_body(self) -> dict[str, Any]:
        """The fields that the openai client has no parameter for."""
        return {"thinking_token_budget": self.thinking_budget, "separate_reasoning": True, "reasoning_control": True}


@dataclass(slots=True)
class ChatTurn:
    """One reply as shown so far; `budget` is its `budget` object."""

    thought: str = ""
    answer: str = ""
    thinking_tokens: int = 0
    answer_tokens: int = 0
    budget: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def messages(self) -> list[MessageDict]:
        """The thought as a collapsible message, the answer, and the token counts."""
        messages: list[MessageDict] = []
        if self.thought:
            is_thinking = not (self.answer or self.budget or self.error)
            title = f"Thought · {self.budget.get('used', self.thinking_tokens)} tokens"
            metadata = {"title": title, "status": "pending" if is_thinking else "done"}
            messages.append({"role": "assistant", "content": _code_block(self.thought), "metadata": metadata})
        if self.answer:
            messages.append({"role": "assistant", "content": self.answer})
        if self.error:
            messages.append({"role": "assistant", "content": f"**{self.error}**"})
        if self.budget:
            messages.append({"role": "assistant", "content": f"*{budget_summary(self.budget)}*"})
        return messages

    def progress(self) -> str:
        """The live token counts; empty once the `budget` object is there."""
        return "" if self.budget else f"{self.thinking_tokens} thinking tokens, {self.answer_tokens} answer tokens"


def displayed_messages(history: History) -> list[MessageDict]:
    """The messages that the page shows."""
    return [message for text, turn in history for message in (_question(text), *turn.messages())]


def _question(text: str) -> MessageDict:
    return {"role": "user", "content": _code_block(text) if "\n" in text.strip() else text}


def _code_block(text: str) -> str:
    """`text` as a code block, so that Markdown keeps its lines and spaces."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.strip(chr(10))}\n{fence}"


def request_messages(history: History, text: str) -> list[MessageDict]:
    """The messages of a request: questions and answers so far without thoughts, then `text`."""
    messages: list[MessageDict] = []
    for question, turn in history:
        if turn.answer:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": turn.answer})
    return [*messages, {"role": "user", "content": text}]


def budget_summary(budget: dict[str, Any]) -> str:
    """The `budget` object of a reply in one line."""
    limit, answer_ms = budget.get("limit"), budget.get("answer_ms")
    parts = [
        f"thought {budget.get('used')}" + (f" of {limit}" if limit is not None else ""),
        f"hint {budget.get('hint_tokens')}",
        *([f"probes {budget['probe_tokens']}"] if budget.get("probe_tokens") else []),
        f"answer {budget.get('answer_tokens')}",
        f"stopped thinking: {budget.get('reason')}",
        *([f"answer after {answer_ms / 1000:.2f} s"] if answer_ms is not None else []),
    ]
    return " · ".join(parts)


async def stream_turn(
    client: AsyncOpenAI, model: str, messages: list[MessageDict], settings: ChatSettings, count_tokens: TokenCounter
) -> AsyncIterator[ChatTurn]:
    """The reply to a conversation, updated as it streams; an error of the server is shown in its place."""
    turn = ChatTurn()
    try:
        stream = await client.chat.completions.create(
            model=model,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            temperature=0,
            stream=True,
            extra_body=settings.extra_body(),
        )
        async for chunk in stream:
            for choice in chunk.choices:
                extra = choice.model_extra or {}
                turn.thought += (choice.delta.model_extra or {}).get("reasoning") or ""
                turn.answer += choice.delta.content or ""
                turn.budget = extra.get("budget") or turn.budget
            turn.thinking_tokens, turn.answer_tokens = await count_tokens(turn.thought), await count_tokens(turn.answer)
            yield turn
    except APIError as error:
        turn.error = error.message
        yield turn


class ChatPage:
    """Event handlers of the page; `_running` has the id and the token of the running reply of each browser session."""

    def __init__(self, model: str, count_tokens: TokenCounter) -> None:
        self._model, self._count_tokens = model, count_tokens
        self._running: dict[str, dict[str, str]] = {}

    async def send(
        self, text: str, history: History, is_unlimited: bool, thinking_budget: int, request: gradio.Request
    ) -> AsyncIterator[tuple[list[MessageDict], History, Any, str]]:
        """Stream the reply to `text`: (displayed messages, history, text box, live token counts).

        The text box is cleared once, so that the next question can be typed while the reply streams.
        """
        session = str(request.session_hash)
        self._running[session] = headers = {"X-Request-Id": uuid.uuid4().hex, "X-Control-Token": uuid.uuid4().hex}
        client = _client(request, headers)
        turn = ChatTurn()
        try:
            yield displayed_messages([*history, (text, turn)]), history, "", "thinking"
            settings = ChatSettings(UNLIMITED if is_unlimited else int(thinking_budget))
            messages = request_messages(history, text)
            async for turn in stream_turn(client, self._model, messages, settings, self._count_tokens):
                yield displayed_messages([*history, (text, turn)]), history, gradio.update(), turn.progress()
        finally:
            self._running.pop(session, None)
            await client.close()
        history = [*history, (text, turn)]
        yield displayed_messages(history), history, gradio.update(), turn.progress()

    async def answer_now(self, request: gradio.Request) -> str:
        """End the thought of the running reply; returns a message about the outcome."""
        headers = self._running.get(str(request.session_hash))
        if headers is None:
            return "No reply is running."
        client = _client(request, headers)
        try:
            body = {"id": f"chatcmpl-{headers['X-Request-Id']}", "action": "reasoning_end"}
            result: Any = await client.post("/chat/completions/control", body=body, cast_to=object)
        except APIError as error:
            return error.message
        finally:
            await client.close()
        return "The thought is being ended." if result["success"] else str(result["message"])


def build_page(page: ChatPage, max_thinking_budget: int) -> gradio.Blocks:
    """The page; its slider goes up to `max_thinking_budget` tokens."""
    blocks: gradio.Blocks = gradio.Blocks(title="z1")
    with blocks:
        gradio.Markdown("# z1\n" + WELCOME)
        chat = gradio.Chatbot(show_label=False, height=460, group_consecutive_messages=True, elem_id="chat")
        history = gradio.State([])
        with gradio.Row():
            budget = gradio.Slider(
                0,
                max_thinking_budget,
                value=max_thinking_budget // 4,
                step=1,
                label="Thinking budget (tokens)",
                elem_id="budget",
            )
            unlimited = gradio.Checkbox(False, label="Unlimited thinking", elem_id="unlimited")
        with gradio.Row():
            box = gradio.Textbox(show_label=False, placeholder="Your question", lines=3, scale=8, elem_id="ask")
            send = gradio.Button("Send", variant="primary", elem_id="send")
            now = gradio.Button("Answer now", variant="stop", elem_id="now")
        live = gradio.Markdown("", elem_id="live")
        inputs, outputs = [box, history, unlimited, budget], [chat, history, box, live]
        triggers = [send.click, box.submit]
        gradio.on(triggers, page.send, inputs, outputs, concurrency_limit=None, show_progress="hidden")
        now.click(page.answer_now, None, live, queue=False, show_progress="hidden")
    return blocks


def mount(app: FastAPI, model: str, count_tokens: TokenCounter, max_thinking_budget: int) -> FastAPI:
    """Mount the page at "/" of `app`, behind its other routes."""
    blocks = build_page(ChatPage(model, count_tokens), max_thinking_budget)
    settings: dict[str, Any] = {"exception_handlers": {404: on_http_error, 405: on_http_error}}
    page: FastAPI = gradio.mount_gradio_app(
        app, blocks, "/", css=CSS, ssr_mode=False, enable_monitoring=False, app_kwargs=settings
    )
    return page


async def on_http_error(request: Request, error: Any) -> JSONResponse:
    """Errors of unknown routes in OpenAI's format, since the page is behind every other route."""
    return JSONResponse(http_error_body(request, error), error.status_code, error.headers)


def _client(request: gradio.Request, headers: dict[str, str]) -> AsyncOpenAI:
    """A client of this server, at the address that it listens on, that sends `headers`."""
    scope: Any = request.request and request.request.scope
    host, port = scope["server"]
    return AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="none", max_retries=0, default_headers=headers)
