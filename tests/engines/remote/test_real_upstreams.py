"""llama.cpp's server and stock vLLM as upstreams, with a real small chat model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engines import conformance
from tests.serve import conftest as server
from z1.engines import remote as engines
from z1.model_files import load_tokenizer

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
