"""Conversations of three turns with a tool call in the second, by unmodified clients of the two agent APIs.

As in `test_conversations.py`, but every event of a stream fits its type in the package of the API.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from anthropic.types import RawMessageStreamEvent
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.engines.http_host import in_thread
from tests.serve.client_programs import ANSWERS, CLIENTS, Client, Recorder, Recordings, Row, rows
from tests.serve.conftest import Served, named_events, serving
from tests.serve.test_tools import blocks, responses
from tests.serve.tool_host import THOUGHT, ToolHost
from z1.engines.remote.connection import Upstream
from z1.engines.remote.engine import ChatEngine
from z1.engines.scripted import Characters
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.api.signature import KEY_VARIABLE
from z1.serve.runtime.response import PendingResponse

PATHS = ("/v1/responses", "/v1/messages")

TABLE = (
    Client("with_openai_responses.py", "openai", ("plain", "signed")),
    Client("with_anthropic.py", "anthropic", ("budget", "adaptive")),
    Client("with_langchain_tools.py", "langchain", ("responses", "anthropic")),
    Client("with_agents_tools.py", "openai_agents", ("default",)),
    Client("with_ai_tools.mjs", "npm", ("default", "stateless", "anthropic")),
)
RECORDINGS = Recordings("tool_requests.jsonl", TABLE)

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
        recorders.append(Recorder(app))
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


ITEM_ID = re.compile(r"\b(?:rs|msg)_[0-9a-f]{32}\b")
"""The ids of items that a client may name."""


class Renamed:
    """Recorded requests with the ids of this run: `ids` are those of the replies so far, in their order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._names: dict[str, str] = {}

    def request(self, body: dict[str, Any]) -> dict[str, Any]:
        """A request that names the items of this run in place of those of the recorded one."""
        ids = list(dict.fromkeys(self.ids))
        for item in body.get("input", ()):
            if item.get("type") == "item_reference" and item["id"] not in self._names:
                self._names[item["id"]] = ids[len(self._names)]
        text = json.dumps(body)
        for recorded_id, new_id in self._names.items():
            text = text.replace(recorded_id, new_id)
        return dict(json.loads(text))


@pytest.mark.parametrize("requests", RECORDINGS.parameters())
def test_the_recorded_conversations_go_on(conversing: Conversing, requests: list[tuple[str, Any]]) -> None:
    conversing.host.asked.clear()
    contents, renamed = [], Renamed()
    for path, recorded_body in requests:
        body = renamed.request(recorded_body)
        reply = conversing.served.post(path, **body)
        assert reply.status_code == 200, reply.text
        is_streamed = bool(body.get("stream"))
        for event in named_events(reply) if is_streamed else ():
            assert event["type"] == "ping" or EVENTS[path].validate_python(event)
        thought, content, calls, _, _ = (responses if path == PATHS[0] else blocks)(reply, stream=is_streamed)
        renamed.ids += ITEM_ID.findall(reply.text)
        assert thought == THOUGHT
        contents.append(calls[0][1] if calls else content)
    assert contents == [ANSWERS[0], "look", *ANSWERS[1:]]
    check_transcript(conversing.host)


def test_every_row_of_the_table_is_recorded() -> None:
    RECORDINGS.check_rows()


@pytest.fixture(scope="module")
def recording() -> Iterator[None]:
    yield
    RECORDINGS.write()


@pytest.mark.real
@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize("row", rows(TABLE))
def test_a_conversation_with_a_tool(conversing: Conversing, row: Row) -> None:
    conversing.host.asked.clear()
    assert RECORDINGS.converse(conversing.served.url, conversing.recorder, row) == ANSWERS
    check_transcript(conversing.host)


class Loop(NamedTuple):
    """An agent in a loop of 20 tool calls: its program, what the model calls for the n-th turn, and how it ends."""

    program: str
    environment: str
    turns: int
    command: str
    answer: str


SANDBOX = json.dumps([sys.executable, "-m", "tests.serve.shell"])
LOOPS = (
    Loop(
        "with_agents_loop.py",
        "PYTHON_WITH_OPENAI_AGENTS",
        20,
        'import subprocess; subprocess.run(["/bin/sh", "-c", "echo $(({n} * {n}))"], check=True)',
        "It is 1.",
    ),
    Loop(
        "with_mini_swe_agent.py",
        "PYTHON_WITH_MINI_SWE_AGENT",
        21,
        "[ {n} -le 20 ] && echo $(({n} * {n})) || echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
        "Submitted",
    ),
)


@pytest.mark.real
@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.program)
def test_an_agent_loop_of_20_turns_with_a_shell(loop: Loop, tmp_path: Path) -> None:
    """OpenAI's Agents SDK with its defaults and z1's sandbox, and mini-swe-agent (chat completions) with its own shell;
    each turn thinks within the server's budget.
    """
    if (python := os.environ.get(loop.environment)) is None:
        pytest.skip(f"needs {loop.environment}: make test-real")
    thoughts: list[int] = []

    def count(response: PendingResponse) -> None:
        thoughts.extend(event.ledger.thought for event in response.finished.values())

    with in_thread(ToolHost(turns=loop.turns, program=loop.command)) as url:
        engine = ChatEngine(Upstream(url, api="chat"), Characters(), ("scripted", "qwen3"))
        prepare = lambda _, service: setattr(service, "on_finished", count)  # noqa: E731
        with serving(engine, RequestDefaults(thinking_budget=6), prepare=prepare) as server:
            shell = SANDBOX if loop.program == "with_agents_loop.py" else str(tmp_path)
            arguments = [server.url + "/v1", "scripted", shell, "Square the numbers."]
            program = [python, "-P", str(CLIENTS / loop.program)]
            own = {"MSWEA_GLOBAL_CONFIG_DIR": str(tmp_path), "MSWEA_SILENT_STARTUP": "1"}
            env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **own}
            done = subprocess.run([*program, *arguments], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert [int(output) for output in found["outputs"]] == [n * n for n in range(1, 21)]
    assert (found["answer"].strip(), found["requests"]) == (loop.answer, 21)
    assert thoughts == [6] * 21
