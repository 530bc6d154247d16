"""Conversations of three turns with unmodified clients, whole and streamed (`client_programs.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from starlette.types import ASGIApp

from tests.serve.client_programs import ANSWERS, Client, Recorder, Recordings, Row, converse, rows
from tests.serve.conftest import Served, serving
from z1.engines.local.engine import LocalSettings, load
from z1.engines.scripted import ScriptedEngine
from z1.generation import builtin_question
from z1.models import shipped
from z1.serve.api.request_parser import RequestDefaults

PROGRAMS = ["a = 3\nb = a + 4\nprint(b)", "a = 2\nb = a + 1\na = b + b\nprint(a)", "print(2 + 5)"]

TABLE = (
    Client("with_openai.py", "openai", ("plain", "object", "dump", "helper")),
    Client("with_openai.mjs", "npm", ("plain", "object", "helper")),
    Client("with_litellm.py", "litellm", ("object", "dump", "vllm")),
    Client("with_litellm_proxy.py", "litellm", ("object",)),
    Client("with_langchain.py", "langchain", ("object",)),
    Client("with_langchain.mjs", "npm", ("object",)),
    Client("with_pydantic_ai.py", "pydantic_ai", ("history",)),
    Client("with_openai_agents.py", "openai_agents", ("history",)),
    Client("with_ai.mjs", "npm", ("openai", "compatible")),
)
RECORDINGS = Recordings("requests.jsonl", TABLE)


def next_token(context: Sequence[int]) -> int:
    """A thought, its closing tag, and an answer with the number of questions so far."""
    text = "".join(map(chr, context))
    reply, whole = text.rpartition("?")[2], f"hm, let us see.</think>It is {text.count('?')}."
    return ord(whole[len(reply)]) if len(reply) < len(whole) else 3


class Conversing(NamedTuple):
    """A server, the prompts that its model saw, and the bodies that it received."""

    served: Served
    prompts: list[str]
    recorder: Recorder


@pytest.fixture(scope="module")
def conversing() -> Iterator[Conversing]:
    """A model with think tags, so that replies have reasoning for clients to echo."""
    engine, prompts, recorders = ScriptedEngine(next_token, profile="qwen3"), list[str](), list[Recorder]()

    def render(conversation: list[dict[str, str]], **_: Any) -> str:
        prompts.append("\n".join(f"{turn['role']}: {turn['content']}" for turn in conversation))
        return prompts[-1]

    def record(app: ASGIApp) -> Recorder:
        recorders.append(Recorder(app))
        return recorders[-1]

    engine.tokenizer.apply_chat_template = render  # type: ignore[method-assign]
    with serving(engine, wrap=record) as server:
        yield Conversing(server, prompts, recorders[0])


TRANSCRIPT = [
    "user: why?",
    "user: why?\nassistant: It is 1.\nuser: and so?",
    "user: why?\nassistant: It is 1.\nuser: and so?\nassistant: It is 2.\nuser: really?",
]
"""What the model has to see: nothing of what a client echoes beside the text."""


@pytest.mark.parametrize("requests", RECORDINGS.parameters())
def test_the_recorded_conversations_of_clients_go_on(conversing: Conversing, requests: list[tuple[str, Any]]) -> None:
    """razzant/ouroboros 33, HolmesGPT 1943, litellm 20334: the second turn was refused for what a client had echoed."""
    conversing.prompts.clear()
    assert len(requests) == 3
    for (path, body), answer in zip(requests, ANSWERS, strict=True):
        reply = conversing.served.post(path, **{**body, "stream": False, "stream_options": None})
        assert reply.status_code == 200, reply.text
        assert reply.json()["choices"][0]["message"]["content"] == answer
        assert conversing.served.post(path, **body).status_code == 200
    assert conversing.prompts == [prompt for prompt in TRANSCRIPT for _ in range(2)]


def test_every_row_of_the_table_is_recorded() -> None:
    RECORDINGS.check_rows()


@pytest.fixture(scope="module")
def recording() -> Iterator[None]:
    yield
    RECORDINGS.write()


@pytest.mark.real
@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize("row", rows(TABLE))
def test_a_conversation_of_three_turns(conversing: Conversing, row: Row) -> None:
    conversing.prompts.clear()
    assert RECORDINGS.converse(conversing.served.url, conversing.recorder, row) == ANSWERS
    assert conversing.prompts == TRANSCRIPT


@pytest.fixture(scope="module")
def tiny() -> Iterator[tuple[Served, list[str]]]:
    """z1-tiny, and its answers in a conversation of bare messages."""
    settings = LocalSettings(max_num_seqs=4, max_model_len=1024, deterministic=True)
    defaults = RequestDefaults(temperature=0.0, format_question=builtin_question)
    with serving(load(shipped(), settings), defaults) as server:
        messages: list[dict[str, str]] = []
        for program in PROGRAMS:
            messages.append({"role": "user", "content": program})
            reply = server.post(model="z1-tiny", messages=messages)
            assert reply.status_code == 200, reply.text
            messages.append({"role": "assistant", "content": reply.json()["choices"][0]["message"]["content"]})
        yield server, [message["content"] for message in messages[1::2]]


@pytest.mark.real
@pytest.mark.parametrize("row", rows(TABLE))
def test_a_conversation_with_a_real_model(tiny: tuple[Served, list[str]], row: Row) -> None:
    server, answers = tiny
    assert converse(server.url + "/v1", "z1-tiny", row, PROGRAMS)["answers"] == answers
