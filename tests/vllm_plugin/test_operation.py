"""The plug-in in operation, inside a stock vLLM server: unchanged clients, kill switch, and planted exceptions."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.vllm_plugin.test_logits_processor import PROGRAMS
from tests.vllm_server import running_vllm
from z1 import profiles
from z1.engines.vllm_params import serve_flags
from z1.synthetic.trajectories import format_question

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # each server starts for a minute or more

HINT = profiles.HINT.strip()
ON = "[default]\nthinking_budget = 12\nmax_thinking_budget = 16\nreasoning_effort_map = {low = 5}\n"
QUESTION = format_question(PROGRAMS[2])
SETTINGS: dict[str, Any] = {"model": "z1-tiny", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "z1.toml"
    path.write_text(ON, "utf-8")
    return path


@pytest.fixture(scope="module")
def server(vllm_python: str, settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("vllm")
    flags = [*serve_flags("z1-tiny"), "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    with running_vllm(vllm_python, folder, flags, {"Z1_VLLM_CONFIG": str(settings)}) as url:
        yield url


@pytest.fixture
def client(server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as made:
        yield made


def complete(client: openai.OpenAI, **fields: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(**SETTINGS, **fields)


def counts(url: str, metric: str) -> Counter[str]:
    """The values of a metric of the plug-in in vLLM's /metrics by its labels, as written there."""
    with urllib.request.urlopen(f"{url}/metrics") as page:
        found = re.findall(rf"^{metric}_total{{(.*)}} (\S+)$", page.read().decode(), re.MULTILINE)
    return Counter({labels: int(float(value)) for labels, value in found})


def thinking_tokens(client: openai.OpenAI, **fields: Any) -> int | None:
    """Tokens before the forced hint; None if there is none."""
    extra = {"return_token_ids": True, **fields.pop("extra_body", {})}
    reply: Any = complete(client, max_tokens=200, extra_body=extra, **fields)
    ids, content = reply.choices[0].token_ids, reply.choices[0].message.content
    if HINT not in content:
        return None
    return int(len(ids) - reply.usage.completion_tokens) + len(_tokens(content.partition("\n\n" + HINT)[0]))


def _tokens(text: str) -> list[int]:
    from z1.model_files import load_tokenizer
    from z1.models import shipped

    return list(load_tokenizer(str(shipped())).encode(text, add_special_tokens=False))


def test_an_unchanged_client_gets_its_window(client: openai.OpenAI, server: str) -> None:
    before = counts(server, "z1_plugin_windows")
    assert thinking_tokens(client) == 12
    assert thinking_tokens(client, reasoning_effort="low") == 5
    assert thinking_tokens(client, extra_body={"thinking_token_budget": 7}) == 7
    assert thinking_tokens(client, extra_body={"thinking_token_budget": 9999}) == 16
    assert thinking_tokens(client, extra_body={"vllm_xargs": {"z1_thinking_budget": 9999}}) == 16
    assert thinking_tokens(client, extra_body={"chat_template_kwargs": {"enable_thinking": False}}) is None
    assert (counts(server, "z1_plugin_windows") - before)['outcome="forced"'] == 5
    decisions = counts(server, "z1_plugin_requests")
    assert decisions['decision="mapped",model="default"'] >= 3


def test_what_cannot_have_a_window_is_answered_without_one(client: openai.OpenAI, server: str) -> None:
    before = counts(server, "z1_plugin_windows")
    short = complete(client, max_tokens=9)
    assert short.usage is not None
    assert short.usage.completion_tokens == 9
    schema: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}
    assert complete(client, max_tokens=100, response_format=schema).choices[0].message.content
    assert (counts(server, "z1_plugin_windows") - before)['outcome="impossible"'] == 2
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    assert complete(client, max_tokens=50, tools=tools).choices
    assert counts(server, "z1_plugin_requests")['decision="tools",model="default"'] == 1
    assert not +counts(server, "z1_plugin_errors")


def test_the_kill_switch_changes_nothing_but_the_window(client: openai.OpenAI, settings: Path) -> None:
    """A reply that is running keeps its window; later requests are vLLM's own, whatever they ask of z1."""
    free = {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}, "return_token_ids": True}}
    wanted: Any = complete(client, max_tokens=200, **free)
    try:
        stream = complete(client, max_tokens=200, stream=True)
        pieces = [next(iter(stream))]
        settings.write_text("enabled = false\n" + ON, "utf-8")
        pieces += list(stream)
        assert HINT in "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        for keys in ({}, {"vllm_xargs": {"z1_thinking_budget": 3}}):
            extra = {"return_token_ids": True, **keys}
            got: Any = complete(client, max_tokens=200, extra_body=extra)
            assert got.choices[0].token_ids == wanted.choices[0].token_ids
            assert got.choices[0].finish_reason == wanted.choices[0].finish_reason
    finally:
        settings.write_text(ON, "utf-8")
    assert thinking_tokens(client) == 12


def test_a_thousand_requests_with_planted_exceptions_are_answered_and_counted(
    vllm_python: str, settings: Path, tmp_path: Path
) -> None:
    """200 requests meet an exception at each of four places of z1, in the server and in the engine; 200 meet none."""
    planted = "tests.vllm_plugin.planted"
    flags = ["--logits-processors", f"{planted}:processor", "--middleware", f"{planted}.RequestMiddleware"]

    async def ask(client: openai.AsyncOpenAI, number: int) -> bool:
        reply = await client.chat.completions.create(**SETTINGS, max_tokens=100 + number % 5)
        assert reply.choices[0].finish_reason in ("stop", "length")
        return HINT in (reply.choices[0].message.content or "")

    async def every(url: str) -> list[bool]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=900) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(1000)))

    with running_vllm(vllm_python, tmp_path, flags, {"Z1_VLLM_CONFIG": str(settings)}) as url:
        has_window = asyncio.run(every(url))
        errors = counts(url, "z1_plugin_errors")
    wanted = {"middleware": 200, "validate_params": 200, "add_request": 2 * 200, "apply": 200}
    assert +errors == {f'where="{place}"': count for place, count in wanted.items()}
    assert [sum(has_window[number::5]) for number in range(5)] == [0, 0, 0, 0, 200]
