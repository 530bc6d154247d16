"""A real model in a stock vLLM server with the plug-in gives the tokens of the local engine, after the hint too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import openai
import pytest

from tests.chat_servers import CONTEXT
from tests.engines.local.test_real_models import PROMPTS, encode
from z1 import profiles
from z1.engines import DriverOptions, Sampling, run_flow
from z1.engines.local.engine import LocalEngine, LocalSettings, load
from z1.think import Flow, Shift

pytestmark = [pytest.mark.real, pytest.mark.timeout(3600)]

MOST, ANSWER = 208, 64
"""Tokens of a reply, and those of its answer: a thought that ends neither by itself nor at its budget is cut for it."""

Z1 = profiles.get_profile("z1")
"""The profile that the server was started with."""


@pytest.fixture(scope="module")
def local(chat_gguf: str) -> LocalEngine:
    return load(chat_gguf, LocalSettings(len(PROMPTS) // 4, CONTEXT, dtype="float32"), "z1")


async def there(client: openai.AsyncOpenAI, prompt: Sequence[int], budget: int | None) -> list[int]:
    asked = {"z1_thinking_budget": -1 if budget is None else budget, "z1_max_answer_tokens": ANSWER}
    extra = {"vllm_xargs": asked, "return_token_ids": True}
    settings: dict[str, Any] = {"temperature": 0, "max_tokens": MOST, "extra_body": extra}
    made: Any = await client.completions.create(model="chat", prompt=list(prompt), **settings)
    return list(made.choices[0].token_ids)


async def here(engine: LocalEngine, prompt: Sequence[int], budget: int | None) -> Flow:
    window = profiles.make_window(engine.tokenizer, Z1, budget, ANSWER)
    session = await engine.open(prompt, Sampling(window.stop_token_ids))
    try:
        return await run_flow(Flow(window, MOST), session, DriverOptions())
    finally:
        await session.close()


@pytest.mark.parametrize("budget", [None, 64, 0])
def test_whole_replies_are_equal(local: LocalEngine, vllm_chat_server: str, budget: int | None) -> None:
    """With an unlimited budget the answer's tokens are reserved, and the thought is cut where they begin."""
    prompts = [encode(local.tokenizer, prompt) for prompt in PROMPTS[::4]]

    async def both() -> tuple[list[list[int]], list[Flow]]:
        async with openai.AsyncOpenAI(base_url=f"{vllm_chat_server}/v1", api_key="none", max_retries=0) as client:
            got = await asyncio.gather(*(there(client, prompt, budget) for prompt in prompts))
        return got, await asyncio.gather(*(here(local, prompt, budget) for prompt in prompts))

    got, wanted = asyncio.run(both())
    ends = {local.tokenizer.eos_token_id}
    different = [
        (number, next((at for at, (a, b) in enumerate(zip(one, flow.token_ids, strict=False)) if a != b), -1))
        for number, (one, flow) in enumerate(zip(got, wanted, strict=True))
        if one[: len(flow.token_ids)] != flow.token_ids or not set(one[len(flow.token_ids) :]) <= ends
    ]
    assert different == [], "prompts, and the first token that differs"
    cut = [flow for flow in wanted if flow.shift_reason in (Shift.BUDGET, Shift.CONTEXT)]
    assert len(cut) > len(prompts) // 2
    assert all(flow.ledger().hint for flow in cut)
