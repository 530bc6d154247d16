"""The conversations of `test_tool_conversations.py` before stock vLLM with a real model, which calls the tool itself.

The model is SmolLM2-135M. Two of its unused tokens are named as think tags, and a chat template of ours opens the
thought and shows what a call looks like; vLLM parses reasoning and calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.chat_servers import running
from tests.serve.client_programs import CLIENTS, Client, Recorder, Row, converse, rows
from tests.serve.conftest import Served, serving
from tests.serve.test_tool_conversations import TABLE
from tests.vllm_server import QUIET
from z1 import profiles
from z1.engines import remote as engines
from z1.engines.vllm_params import serve_flags
from z1.model_files import find_model
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.runtime.response import PendingResponse

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

QUESTIONS = ["Say hello.", "Look up 2.", "Say thanks."]
BUDGET = 8
NAMES = {"<issue_start>": "<think>", "<issue_closed>": "</think>"}
"""Tokens of the model that its chats do not use, and the names that they get."""

CHAT = Client("with_langchain_tools.py", "langchain", ("chat",))
"""Chat completions; before the scripted upstream they would be proxied."""


class Host(NamedTuple):
    """A vLLM server, and its model."""

    url: str
    model: Path


@pytest.fixture(scope="module")
def host(chat_gguf: str, vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    converted, model = Path(find_model(chat_gguf)), tmp_path_factory.mktemp("model")
    for path in converted.iterdir():
        if path.name != "tokenizer.json":
            (model / path.name).symlink_to(path)
    text = (converted / "tokenizer.json").read_text()
    for old, new in NAMES.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    (model / "tokenizer.json").write_text(text)
    (model / "chat_template.jinja").unlink()
    (model / "chat_template.jinja").write_text((CLIENTS / "smollm2_tools.jinja").read_text())
    command = [vllm_python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += [*serve_flags("qwen3"), "--served-model-name", "chat", "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", "8192", "--max-num-seqs", "4", "--host", "127.0.0.1"]
    command += ["--reasoning-parser", "qwen3", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    source = str(Path(profiles.__file__).parents[1])
    with running(command, tmp_path_factory.mktemp("vllm"), {**QUIET, "PYTHONPATH": source}) as url:
        yield Host(url, model)


class Conversing(NamedTuple):
    """A server, what it received, and the thinking tokens of its replies."""

    served: Served
    recorder: Recorder
    thoughts: list[int]
    precision: str


@pytest.fixture(scope="module", params=["exact", "approximate"])
def conversing(host: Host, request: pytest.FixtureRequest) -> Iterator[Conversing]:
    """z1 cuts the thought (exact), or our plug-in in vLLM keeps its budget (approximate)."""
    recorders, thoughts = list[Recorder](), list[int]()

    def record(app: Any) -> Recorder:
        recorders.append(Recorder(app))
        return recorders[-1]

    def count(response: PendingResponse) -> None:
        thoughts.extend(event.ledger.thought for event in response.finished.values())

    upstream = engines.Upstream(f"{host.url}/v1", api="chat" if request.param == "exact" else "completions")
    engine = engines.load(upstream, str(host.model), "qwen3")
    defaults = RequestDefaults(temperature=0.0, thinking_budget=BUDGET, max_thinking_budget=BUDGET)
    prepare = lambda _, service: setattr(service, "on_finished", count)  # noqa: E731
    with serving(engine, defaults, wrap=record, prepare=prepare) as server:
        yield Conversing(server, recorders[0], thoughts, request.param)


@pytest.mark.parametrize("row", rows([*TABLE, CHAT]))
def test_a_real_model_calls_a_tool_in_the_second_of_three_turns(conversing: Conversing, row: Row) -> None:
    conversing.recorder.requests.clear()
    conversing.thoughts.clear()
    model = conversing.served.service.engine.name
    answers = converse(f"{conversing.served.url}/v1", model, row, QUESTIONS)["answers"]
    assert len(answers) == 3 and all(answers) and answers[1].strip() == "It is seen."
    assert len(conversing.recorder.requests) == 4
    sent = json.dumps(conversing.recorder.requests[-1][1])
    assert sent.count('"seen"') == 1 and re.search(r"\bn\W+2\W", sent)  # the arguments, an object or its JSON
    if conversing.precision == "exact":
        assert conversing.thoughts == [BUDGET] * 4
    else:  # the host counts the hint as thought; a chat completion is proxied
        hint = profiles.get_profile("qwen3").hint
        most = BUDGET + len(conversing.served.service.engine.tokenizer.encode(hint))
        assert all(0 < thought <= most for thought in conversing.thoughts)
        assert len(conversing.thoughts) == (0 if row.variant == "chat" else 4)
