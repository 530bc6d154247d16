"""Conversations of three turns with a tool call in the second, by unmodified clients of the two agent APIs.

As in `test_conversations.py`: `make test-real` runs the programs, and the quick tests send their requests again
(`clients/tool_requests.jsonl`). Every event of a stream fits its type in the package of the API.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from anthropic.types import RawMessageStreamEvent
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.serve.conftest import Served, named_events, serving
from tests.serve.test_conversations import ANSWERS, CLIENTS, MODES, QUESTIONS, Client, Recorder, converse
from tests.serve.test_tools import blocks, responses
from tests.serve.tool_host import THOUGHT, ToolHost, in_thread
from z1.engines.remote.connection import Upstream
from z1.engines.remote.engine import ChatEngine
from z1.engines.scripted import Characters
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.api.signature import KEY_VARIABLE
from z1.serve.runtime.response import PendingResponse

RECORDED = CLIENTS / "tool_requests.jsonl"
PATHS = ("/v1/responses", "/v1/messages")

TABLE = (
    Client("with_openai_responses.py", "openai", ("plain", "signed")),
    Client("with_anthropic.py", "anthropic", ("budget", "adaptive")),
    Client("with_langchain_tools.py", "langchain", ("responses", "anthropic")),
    Client("with_agents_tools.py", "openai_agents", ("default",)),
    Client("with_ai_tools.mjs", "npm", ("stateless", "anthropic")),
)
ROWS = [(client, variant, mode) for client in TABLE for variant in client.variants for mode in MODES]

EVENTS: dict[str, TypeAdapter[Any]] = {
    "/v1/responses": TypeAdapter(ResponseStreamEvent),
    "/v1/messages": TypeAdapter(RawMessageStreamEvent),
}

LOOP = ["user", "assistant", "user", "assistant", "tool"]
TRANSCRIPT = [["user"], ["user", "assistant", "user"], LOOP, [*LOOP, "assistant", "user"]]
"""The roles of the messages that the upstream has to see."""


class Conversing(NamedTuple):
    """A server, its upstream, and what the server received."""

    served: Served
    host: ToolHost
    recorder: Recorder


@pytest.fixture(scope="module")
def conversing() -> Iterator[Conversing]:
    recorders: list[Recorder] = []

    def record(app: Any) -> Recorder:
        recorders.append(Recorder(app, PATHS))
        return recorders[-1]

    host = ToolHost()
    with pytest.MonkeyPatch.context() as patch, in_thread(host) as url:
        patch.setenv(KEY_VARIABLE, "the key of the recorded requests")
        engine = ChatEngine(Upstream(url, api="chat"), Characters(), ("scripted", "qwen3"))
        with serving(engine, wrap=record) as server:
            yield Conversing(server, host, recorders[0])


def check_transcript(host: ToolHost) -> None:
    """The upstream saw the whole conversation, with the thought of the loop while its tool was running."""
    assert [[message["role"] for message in body["messages"]] for body in host.asked] == TRANSCRIPT
    loop = host.asked[2]["messages"]
    function = loop[3]["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("look", {"n": "2"})
    assert loop[4]["content"] == "seen" and loop[4]["tool_call_id"] == loop[3]["tool_calls"][0]["id"]
    assert all("reasoning" not in message for message in host.asked[3]["messages"])


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("row", recorded(), ids=lambda row: "-".join(row["row"]))
def test_the_recorded_conversations_go_on(conversing: Conversing, row: dict[str, Any]) -> None:
    conversing.host.asked.clear()
    contents = []
    for path, body in row["requests"]:
        reply = conversing.served.post(path, **body)
        assert reply.status_code == 200, reply.text
        is_streamed = bool(body.get("stream"))
        for event in named_events(reply) if is_streamed else ():
            assert event["type"] == "ping" or EVENTS[path].validate_python(event)
        thought, content, calls, _, _ = (responses if path == PATHS[0] else blocks)(reply, stream=is_streamed)
        assert thought == THOUGHT
        contents.append(calls[0][1] if calls else content)
    assert contents == [ANSWERS[0], "look", *ANSWERS[1:]]
    check_transcript(conversing.host)


def test_every_row_of_the_table_is_recorded() -> None:
    expected = [[client.program, variant, mode] for client, variant, mode in ROWS]
    assert [row["row"] for row in recorded()] == expected


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
def test_a_conversation_with_a_tool(
    conversing: Conversing, recording: list[dict[str, Any]], row: tuple[Client, str, str]
) -> None:
    conversing.host.asked.clear()
    conversing.recorder.requests.clear()
    found = converse(conversing.served.url + "/v1", "scripted", row, QUESTIONS)
    assert found["answers"] == ANSWERS
    check_transcript(conversing.host)
    client, variant, mode = row
    requests = list(conversing.recorder.requests)
    recording.append({"row": [client.program, variant, mode], "version": found["version"], "requests": requests})


SHELL = 'import subprocess; subprocess.run(["/bin/sh", "-c", "echo $(({n} * {n}))"], check=True)'


@pytest.mark.real
def test_an_agent_loop_of_20_turns_with_a_shell_in_the_sandbox() -> None:
    """OpenAI's Agents SDK with its defaults; each turn thinks within the server's budget."""
    if (python := os.environ.get("PYTHON_WITH_OPENAI_AGENTS")) is None:
        pytest.skip("needs PYTHON_WITH_OPENAI_AGENTS: make test-real")
    thoughts: list[int] = []

    def count(response: PendingResponse) -> None:
        thoughts.extend(event.ledger.thought for event in response.finished.values())

    host = ToolHost(turns=20, program=SHELL)
    with in_thread(host) as url:
        engine = ChatEngine(Upstream(url, api="chat"), Characters(), ("scripted", "qwen3"))
        prepare = lambda _, service: setattr(service, "on_finished", count)  # noqa: E731
        with serving(engine, RequestDefaults(thinking_budget=6), prepare=prepare) as server:
            command = json.dumps([sys.executable, "-m", "tests.serve.shell"])
            arguments = [server.url + "/v1", "scripted", command, "Square the numbers."]
            program = [python, "-P", str(CLIENTS / "with_agents_loop.py")]
            done = subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert [int(output) for output in found["outputs"]] == [n * n for n in range(1, 21)]
    assert (found["answer"].strip(), found["requests"]) == ("It is 1.", 21)
    assert thoughts == [6] * 21
