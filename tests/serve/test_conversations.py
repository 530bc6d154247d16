"""Conversations of three turns with unmodified clients, whole and streamed.

`clients/` has a program for each client; `make test-real` runs it in an environment of its own. The request bodies that
the programs sent are in `clients/requests.jsonl`, and the quick tests send them again. RECORD_REQUESTS=1 with
`make test-real` writes them anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.serve.conftest import Served, serving
from z1.engines.local.engine import LocalSettings, load
from z1.engines.scripted import ScriptedEngine
from z1.generation import builtin_question
from z1.models import shipped
from z1.serve.api.request_parser import RequestDefaults

CLIENTS = Path(__file__).parent / "clients"
RECORDED = CLIENTS / "requests.jsonl"
MODES = ("whole", "streamed")


class Client(NamedTuple):
    """A program, the environment that it needs, and what it keeps of a reply."""

    program: str
    environment: str
    variants: tuple[str, ...]


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
ROWS = [(client, variant, mode) for client in TABLE for variant in client.variants for mode in MODES]

QUESTIONS = ["why?", "and so?", "really?"]
ANSWERS = ["It is 1.", "It is 2.", "It is 3."]
PROGRAMS = ["a = 3\nb = a + 4\nprint(b)", "a = 2\nb = a + 1\na = b + b\nprint(a)", "print(2 + 5)"]


def next_token(context: Sequence[int]) -> int:
    """A thought, its closing tag, and an answer with the number of questions so far."""
    text = "".join(map(chr, context))
    reply, whole = text.rpartition("?")[2], f"hm, let us see.</think>It is {text.count('?')}."
    return ord(whole[len(reply)]) if len(reply) < len(whole) else 3


class Recorder:
    """An application that keeps the path and the body of the requests to `app` on `paths`."""

    def __init__(self, app: ASGIApp, paths: Sequence[str] = ("/v1/chat/completions",)) -> None:
        self._app, self._paths = app, paths
        self.requests: list[tuple[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[bytes] = []

        async def recorded() -> Message:
            message = await receive()
            parts.append(message.get("body", b""))
            return message

        await self._app(scope, recorded, send)
        if scope["type"] == "http" and scope["path"] in self._paths:
            self.requests.append((scope["path"], json.loads(b"".join(parts))))


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


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("row", recorded(), ids=lambda row: "-".join(row["row"]))
def test_the_recorded_conversations_of_clients_go_on(conversing: Conversing, row: dict[str, Any]) -> None:
    """razzant/ouroboros 33, HolmesGPT 1943, litellm 20334: the second turn was refused for what a client had echoed."""
    conversing.prompts.clear()
    assert len(row["requests"]) == 3
    for body, answer in zip(row["requests"], ANSWERS, strict=True):
        reply = conversing.served.post(**{**body, "stream": False, "stream_options": None})
        assert reply.status_code == 200, reply.text
        assert reply.json()["choices"][0]["message"]["content"] == answer
        assert conversing.served.post(**body).status_code == 200
    assert conversing.prompts == [prompt for prompt in TRANSCRIPT for _ in range(2)]


def test_every_row_of_the_table_is_recorded() -> None:
    expected = [[client.program, variant, mode] for client, variant, mode in ROWS]
    assert [row["row"] for row in recorded()] == expected


def converse(url: str, model: str, row: tuple[Client, str, str], questions: list[str]) -> dict[str, Any]:
    """What the program of a row prints, in the environment of its client."""
    client, variant, mode = row
    name = "NPM_CLIENTS" if client.environment == "npm" else f"PYTHON_WITH_{client.environment.upper()}"
    if (environment := os.environ.get(name)) is None:
        pytest.skip(f"needs {name}: make test-real")
    path, folder = CLIENTS / client.program, None
    if client.environment == "npm":  # node looks for packages beside the program
        folder = Path(environment).resolve()
        command = ["node", shutil.copy(path, folder)]
    else:
        command = [str(Path(environment).absolute()), "-P", str(path)]
    done = subprocess.run(
        [*command, url, model, variant, mode, json.dumps(questions)],
        cwd=folder,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def recording() -> Iterator[list[dict[str, Any]]]:
    """The rows that are recorded in this run; with RECORD_REQUESTS they replace the older ones."""
    rows: list[dict[str, Any]] = []
    yield rows
    if os.environ.get("RECORD_REQUESTS"):
        by_name = {tuple(row["row"]): row for row in (*recorded(), *rows)}
        kept = [by_name[name] for client, variant, mode in ROWS if (name := (client.program, variant, mode)) in by_name]
        RECORDED.write_text("".join(json.dumps(row) + "\n" for row in kept))


@pytest.mark.real
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].program}-{row[1]}-{row[2]}")
def test_a_conversation_of_three_turns(
    conversing: Conversing, recording: list[dict[str, Any]], row: tuple[Client, str, str]
) -> None:
    conversing.prompts.clear()
    conversing.recorder.requests.clear()
    found = converse(conversing.served.url + "/v1", "scripted", row, QUESTIONS)
    assert found["answers"] == ANSWERS
    assert conversing.prompts == TRANSCRIPT
    client, variant, mode = row
    recording.append(
        {
            "row": [client.program, variant, mode],
            "version": found["version"],
            "requests": [body for _, body in conversing.recorder.requests],
        }
    )


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
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].program}-{row[1]}-{row[2]}")
def test_a_conversation_with_a_real_model(tiny: tuple[Served, list[str]], row: tuple[Client, str, str]) -> None:
    server, answers = tiny
    assert converse(server.url + "/v1", "z1-tiny", row, PROGRAMS)["answers"] == answers
