"""Real models in the local engine: tokens of `generate`, and memory. They are not in the repository.

`CHAT_GGUF` names SmolLM2-135M-Instruct and `GEMMA_GGUF` Gemma 3 270M; `make test-real` fetches both.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.chat_servers import named
from z1.engines.local.engine import LocalEngine, LocalSettings, load
from z1.engines.protocol import Sampling
from z1.model_files import find_model

pytestmark = [pytest.mark.real, pytest.mark.timeout(3600)]

TOPICS = ["a river", "the moon", "bread", "prime numbers", "a bicycle", "the sea", "chess", "rain"]
REQUESTS = ("Explain {} to a child.", "Write a short poem about {}.", "List facts about {}.", "Write code about {}.")
PROMPTS = [request.format(topic) for request in REQUESTS for topic in TOPICS]
NEW = 200


@pytest.fixture(scope="session")
def gemma_gguf() -> str:
    return named("GEMMA_GGUF")


def encode(tokenizer: Any, prompt: str) -> list[int]:
    if not tokenizer.chat_template:
        return list(tokenizer.encode(prompt))
    chat = [{"role": "user", "content": prompt}]
    return list(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))


def generated(model: str, prompts: list[list[int]]) -> list[list[int]]:
    """The tokens of transformers' `generate`, in one batch with padding on the left, ends ignored."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(find_model(model), dtype=torch.float32).eval()
    loaded.generation_config.eos_token_id = None
    width = max(map(len, prompts))
    token_ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode():
        found = loaded.generate(token_ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, pad_token_id=0)
    return [row[width:] for row in found.tolist()]


async def replies(engine: LocalEngine, prompts: list[list[int]]) -> list[list[int]]:
    async def reply(prompt: list[int]) -> list[int]:
        session = await engine.open(prompt, Sampling())
        return list((await session.sample(NEW)).token_ids)

    async with engine:
        return await asyncio.gather(*map(reply, prompts))


@pytest.mark.parametrize("name", ["chat_gguf", "gemma_gguf"])
def test_greedy_tokens_equal_those_of_generate(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    engine = load(model, LocalSettings(32, 512))
    prompts = [encode(engine.tokenizer, prompt) for prompt in PROMPTS]
    found, wanted = asyncio.run(replies(engine, prompts)), generated(model, prompts)
    assert [index for index, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]] == []


ONE_LONG_THOUGHT = """
import asyncio, sys
from pathlib import Path
from tests.chat_servers import named
from z1.engines.local.engine import LocalSettings, load
from z1.engines.protocol import Sampling

async def main():
    async with load(sys.argv[1], LocalSettings(1, 4096)) as engine:
        session = await engine.open([(37 * i) % 40_000 + 20 for i in range(4000)], Sampling())
        assert len((await session.sample(96)).token_ids) == 96

asyncio.run(main())
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
"""Prints its own peak: `ru_maxrss` begins with that of the process that it was forked from."""


def test_one_thought_of_4096_tokens_takes_less_than_1600_megabytes(chat_gguf: str) -> None:
    find_model(chat_gguf)  # converted in another process, whose memory is not counted
    command = [sys.executable, "-c", ONE_LONG_THOUGHT, chat_gguf]
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2]
    assert int(peak) * 1024 < 1.6e9
