"""How does a person try budgets by hand?

A chat page in front of the server's own API: a slider for the thinking budget, thought and answer apart while they
stream, tokens counted as they come, a button that asks for the answer now, and the account under each reply. It is a
client like any other and knows nothing that the API does not say; only the live count asks the service's tokenizer.
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

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

FREE = -1

CSS = "footer {display: none !important}"

WELCOME = "Ask something. The slider says how many tokens it may think; **Answer now** ends the thought."

Count = Callable[[str], Awaitable[int]]
"""Tokens of a text."""

Turn = dict[str, Any]

Talk = list[tuple[str, "ChatTurn"]]
"""What was asked, and how it was answered."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What a person set: `budget` in tokens of thought, FREE for as long as it takes."""

    budget: int

    def body(self) -> dict[str, Any]:
        """The fields of a request that openai's client does not know."""
        return {"thinking_token_budget": self.budget, "separate_reasoning": True, "reasoning_control": True}


@dataclass(slots=True)
class ChatTurn:
    """One reply as it is shown so far."""

    thought: str = ""
    answer: str = ""
    thought_tokens: int = 0
    answer_tokens: int = 0
    budget: dict[str, Any] = field(default_factory=dict)
    fault: str = ""

    def turns(self) -> list[Turn]:
        """The thought as something to fold away, the answer, and the account."""
        made: list[Turn] = []
        if self.thought:
            thinking = not (self.answer or self.budget or self.fault)
            title = f"Thought · {self.budget.get('used', self.thought_tokens)} tokens"
            status = "pending" if thinking else "done"
            folded = {"title": title, "status": status}
            made.append({"role": "assistant", "content": _as_it_is(self.thought), "metadata": folded})
        if self.answer:
            made.append({"role": "assistant", "content": self.answer})
        if self.fault:
            made.append({"role": "assistant", "content": f"**{self.fault}**"})
        if self.budget:
            made.append({"role": "assistant", "content": f"*{account(self.budget)}*"})
        return made

    def counts(self) -> str:
        """The live line under the chat, from which the account takes over."""
        return "" if self.budget else f"{self.thought_tokens} tokens of thought, {self.answer_tokens} of answer"


def turns(talk: Talk) -> list[Turn]:
    """What the page shows."""
    return [turn for text, shown in talk for turn in (_question(text), *shown.turns())]


def _question(text: str) -> Turn:
    return {"role": "user", "content": _as_it_is(text) if "\n" in text.strip() else text}


def _as_it_is(text: str) -> str:
    """With its lines and spaces, whatever Markdown would make of them."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.strip(chr(10))}\n{fence}"


def conversation(talk: Talk, text: str) -> list[Turn]:
    """What is sent: what was asked and answered, without thoughts."""
    said = [(asked, shown.answer) for asked, shown in talk if shown.answer]
    before = [
        turn for asked, answer in said
        for turn in ({"role": "user", "content": asked}, {"role": "assistant", "content": answer})
    ]  # fmt: skip
    return [*before, {"role": "user", "content": text}]


def account(budget: dict[str, Any]) -> str:
    """A reply's `budget` object in a line."""
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


async def ask(
    client: AsyncOpenAI, model: str, turns: list[Turn], asked: ChatSettings, count: Count
) -> AsyncIterator[ChatTurn]:
    """The reply to a conversation, as it comes; a fault of the server is shown in its place."""
    shown = ChatTurn()
    try:
        said = cast("list[ChatCompletionMessageParam]", turns)
        stream = await client.chat.completions.create(
            model=model, messages=said, temperature=0, stream=True, extra_body=asked.body()
        )
        async for chunk in stream:
            for choice in chunk.choices:
                extra = choice.model_extra or {}
                shown.thought += (choice.delta.model_extra or {}).get("reasoning") or ""
                shown.answer += choice.delta.content or ""
                shown.budget = extra.get("budget") or shown.budget
            shown.thought_tokens, shown.answer_tokens = await count(shown.thought), await count(shown.answer)
            yield shown
    except APIError as error:
        shown.fault = error.message
        yield shown


class ChatPage:
    """What the page does when somebody clicks; `running` is the reply under way in each open page."""

    def __init__(self, model: str, count: Count) -> None:
        self._model, self._count = model, count
        self._running: dict[str, str] = {}

    async def send(
        self, text: str, talk: Talk, free: bool, budget: int, request: gradio.Request
    ) -> AsyncIterator[tuple[list[Turn], Talk, str, str]]:
        """Answer `text`, as it comes: (what is shown, the talk so far, the emptied box, the live line)."""
        name, own = str(request.session_hash), uuid.uuid4().hex
        client = _client(request, own)
        shown = ChatTurn()
        self._running[name] = f"chatcmpl-{own}"
        try:
            yield turns([*talk, (text, shown)]), talk, "", "thinking"
            asked = ChatSettings(FREE if free else int(budget))
            async for shown in ask(client, self._model, conversation(talk, text), asked, self._count):
                yield turns([*talk, (text, shown)]), talk, "", shown.counts()
        finally:
            self._running.pop(name, None)
            await client.close()
        yield turns([*talk, (text, shown)]), [*talk, (text, shown)], "", shown.counts()

    async def answer_now(self, request: gradio.Request) -> str:
        """Ask for the answer of the reply under way; says whether that changed anything."""
        name = self._running.get(str(request.session_hash))
        if name is None:
            return "nothing is being thought"
        client = _client(request, "")
        try:
            body = {"id": name, "action": "reasoning_end"}
            told: Any = await client.post("/chat/completions/control", body=body, cast_to=object)
        except APIError as error:
            return error.message
        finally:
            await client.close()
        return "asked for the answer" if told["success"] else str(told["message"])


def blocks(page: ChatPage, most: int) -> gradio.Blocks:
    """The page; its slider goes up to `most` tokens."""
    made: gradio.Blocks = gradio.Blocks(title="z1")
    with made:
        gradio.Markdown("# z1\n" + WELCOME)
        chat = gradio.Chatbot(show_label=False, height=460, group_consecutive_messages=True, elem_id="chat")
        talk = gradio.State([])
        with gradio.Row():
            budget = gradio.Slider(0, most, value=most // 4, step=1, label="Thinking budget (tokens)", elem_id="budget")
            free = gradio.Checkbox(False, label="Think as long as it takes", elem_id="free")
        with gradio.Row():
            box = gradio.Textbox(show_label=False, placeholder="Ask here", lines=3, scale=8, elem_id="ask")
            send = gradio.Button("Send", variant="primary", elem_id="send")
            now = gradio.Button("Answer now", variant="stop", elem_id="now")
        live = gradio.Markdown("", elem_id="live")
        inputs, outputs = [box, talk, free, budget], [chat, talk, box, live]
        asking = [send.click, box.submit]
        gradio.on(asking, page.send, inputs, outputs, concurrency_limit=None, show_progress="hidden")
        now.click(page.answer_now, None, live, queue=False, show_progress="hidden")
    return made


def mount(app: FastAPI, model: str, count: Count, most: int) -> FastAPI:
    """Put the page at "/" of `app`, behind all routes that it has."""
    made = blocks(ChatPage(model, count), most)
    page: FastAPI = gradio.mount_gradio_app(app, made, "/", css=CSS, ssr_mode=False, enable_monitoring=False)
    return page


def _client(request: gradio.Request, own_id: str) -> AsyncOpenAI:
    """A client of the server that the page came from, by its own address; `own_id` names the request, "" leaves it."""
    scope: Any = request.request and request.request.scope
    host, port = scope["server"]
    headers = {"X-Request-Id": own_id} if own_id else None
    return AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="none", max_retries=0, default_headers=headers)
