"""llama.cpp's server and stock vLLM as upstreams, with a real small chat model."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.engines import conformance
from tests.serve import conftest as server
from z1.engines import FinishReason, Sampling
from z1.engines import remote as engines
from z1.model_files import load_tokenizer
from z1.models import shipped
from z1.synthetic.trajectories import format_question

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

COUNTING = "Count: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,"
"""A prompt after which the model does not stop for a while."""

QUESTION = {"messages": [{"role": "user", "content": "What is 3 + 4? Explain every step."}], "temperature": 0}


def check_conformance(url: str, gguf: str, *, has_token_ids: bool) -> None:
    async def run() -> None:
        async with engines.load(engines.Upstream(f"{url}/v1"), gguf, "z1") as engine:
            assert engine.capabilities.has_token_ids is engine.has_windows is has_token_ids
            assert engine.max_model_len == 1024
            prompt = engine.tokenizer.encode(COUNTING, add_special_tokens=False)
            for check in conformance.CHECKS:
                await check(engine, prompt)

    asyncio.run(run())


def check_budgets(url: str, gguf: str) -> None:
    """Thoughts are cut to the token, streamed and whole, and streams come while the upstream still generates."""
    tokenizer = load_tokenizer(gguf)
    with server.serving(engines.load(engines.Upstream(f"{url}/v1"), gguf, "z1")) as served:
        for budget in (0, 1, 12, 40):
            fields: dict[str, Any] = {"thinking_budget": budget, "answer_tokens": 24}
            body: dict[str, Any] = {
                **QUESTION,
                "model": served.service.engine.name,
                "separate_reasoning": True,
                **fields,
            }
            whole = served.post(**body).json()["choices"][0]
            assert (whole["budget"]["used"], whole["budget"]["precision"]) == (budget, "exact")
            thought = whole["message"].get("reasoning", "").partition("\n\nI overthought it")[0]
            assert len(tokenizer.encode(thought, add_special_tokens=False)) == budget
            events = server.chunks(served.post(**body, stream=True).iter_lines())
            texts = [choice["delta"] for event in events for choice in event["choices"]]
            assert "".join(delta.get("reasoning") or "" for delta in texts) == whole["message"].get("reasoning", "")
            assert budget < 40 or sum("reasoning" in delta for delta in texts) > 3
        assert served.idle()


def test_conformance_of_llama_cpp(llama_server: str, chat_gguf: str) -> None:
    check_conformance(llama_server, chat_gguf, has_token_ids=False)


def test_budgets_of_llama_cpp(llama_server: str, chat_gguf: str) -> None:
    check_budgets(llama_server, chat_gguf)


def test_conformance_of_vllm_with_a_chat_model(vllm_chat_server: str, chat_gguf: str) -> None:
    check_conformance(vllm_chat_server, chat_gguf, has_token_ids=True)


def test_budgets_of_vllm_with_a_chat_model(vllm_chat_server: str, chat_gguf: str) -> None:
    check_budgets(vllm_chat_server, chat_gguf)


@pytest.mark.parametrize("host", ["llama.cpp", "vllm"])
def test_a_chat_route_continues_a_message(host: str, request: pytest.FixtureRequest, chat_gguf: str) -> None:
    """With no thinking the hint is a message that the host continues."""
    url = request.getfixturevalue("llama_server" if host == "llama.cpp" else "vllm_chat_server")
    upstream = engines.Upstream(f"{url}/v1", api="chat", host=host)
    with server.serving(engines.load(upstream, chat_gguf, "qwen3")) as served:
        for stream in (False, True):
            body: dict[str, Any] = {
                **QUESTION,
                "model": served.service.engine.name,
                "answer_tokens": 24,
                "stream": stream,
            }
            response = served.post(**body, thinking_budget=0)
            assert response.status_code == 200, response.text
            assert "7" in response.text
        assert served.idle()


def test_conformance_of_vllm_over_loopback(vllm_server: str) -> None:
    engine = engines.load(engines.Upstream(f"{vllm_server}/v1", "z1-tiny"), str(shipped()))

    async def run() -> bool:
        async with engine:
            for check in conformance.CHECKS:
                await check(engine, [5, 6, 7, 20, 33, 41, 9, 11])
            stopped = await (await engine.open([5, 6], Sampling(frozenset(range(385))))).sample(4)
            assert (len(stopped.token_ids), stopped.reason) == (1, FinishReason.STOP)
            return (
                engine.capabilities.has_token_ids
                and engine.has_windows
                and engine.capabilities.max_forbidden_length == 1
            )

    assert asyncio.run(run())


NAMED = {"type": "function", "function": {"name": "add"}}
ONE = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
TOOLS: list[Any] = [{**NAMED, "function": {"name": "add", "parameters": ONE}}]
YES: Any = {"type": "json_schema", "json_schema": {"name": "yes", "schema": {"enum": ["yes", "no"]}}}


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_schemas_of_vllm_through_z1_with_a_budget(vllm_server: str, stream: bool) -> None:
    question = format_question("s = 0\nfor i in range(9):\n    s = s + i * 2\nprint(s)")

    def said(url: str, **body: Any) -> tuple[str, str, str, str]:
        """Content, the calls' names and arguments, and how it ended, as the official client puts them together."""
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            ask: Any = {"model": "z1-tiny", "messages": [{"role": "user", "content": question}], "temperature": 0}
            made: Any = client.chat.completions.create(**ask, max_tokens=150, stream=stream, **body)
            choices = [c for chunk in made for c in chunk.choices] if stream else made.choices
        turns = [choice.delta if stream else choice.message for choice in choices]
        calls = [call.function for turn in turns for call in turn.tool_calls or ()]
        texts = [[turn.content for turn in turns], [call.name for call in calls], [call.arguments for call in calls]]
        content, names, arguments = ("".join(filter(None, each)) for each in texts)
        return content, names, arguments, choices[-1].finish_reason

    with server.serving(engines.load(engines.Upstream(f"{vllm_server}/v1"), str(shipped()))) as there:
        for body in ({"response_format": YES}, {"tools": TOOLS, "tool_choice": NAMED}, {"tools": TOOLS}):
            assert said(there.url, **body) == said(vllm_server, **body)
        assert said(there.url, response_format=YES)[0] in ('"yes"', '"no"')
        assert not stream or said(there.url, tools=TOOLS, tool_choice=NAMED)[1] == "add"
        budget = {"thinking_budget": 9, "answer_tokens": 24}
        kept = said(there.url, tools=TOOLS, extra_body=budget)
        assert kept == said(there.url, extra_body=budget)
        assert "I overthought it" in kept[0]
        with pytest.raises(openai.APIError, match="structured outputs"):
            said(there.url, response_format=YES, extra_body=budget)
        with pytest.raises(openai.BadRequestError, match="tools: this server does not support it"):
            said(there.url, tools=TOOLS, extra_body={"deadline_ms": 9})
