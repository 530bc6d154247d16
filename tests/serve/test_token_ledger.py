"""The token ledger: each token of a reply, sampled or forced, with the probability that the model gave it.

z1-tiny's replies are computed again from their ledgers by the engine, and some by transformers.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import torch

from tests.serve.conftest import Served, chunks, named_events, serving
from tests.serve.scripts import ASK, FORCED, HINT, THOUGHT
from z1.engines import Sampling
from z1.engines.local.engine import LocalEngine, LocalSettings, load
from z1.model_files import load_model
from z1.models import shipped

TOLERANCE = 1e-5
"""Of the engine in deterministic mode, in which both passes have the same bits."""

FLOAT32_ERROR = 1e-3
"""Of this model in float32: transformers' own passes in float32 and float64 differ by 1e-4."""

SETTINGS = LocalSettings(32, 96, deterministic=True)


@pytest.fixture(scope="module")
def tiny() -> Iterator[Served]:
    with serving(load(shipped(), SETTINGS)) as server:
        server.client.timeout = httpx.Timeout(600)  # 32 replies a request, in deterministic mode
        yield server


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(str(shipped()), None).model.double().eval()


def programs(rng: random.Random, count: int, tokenizer: Any) -> list[list[int]]:
    names = "abc"
    texts = [
        f"{rng.choice(names)} = {rng.randrange(10)}\nprint({rng.choice(names)} + {rng.randrange(10)})\n"
        for _ in range(count)
    ]
    return [tokenizer.encode(text, add_special_tokens=False) for text in texts]


async def recompute(engine: LocalEngine, prompt: list[int], token_ids: list[int]) -> list[float]:
    """The log-probabilities of a reply whose tokens are all forced."""
    session = await engine.open(prompt, Sampling(logprobs=0, forced_logprobs=True))
    await session.append(token_ids)
    await session.sample(1)
    await session.close()
    return [one.logprob for one in session.logprobs[: len(token_ids)]]


async def recompute_all(prompts: list[list[int]], ledgers: list[dict[str, Any]]) -> list[list[float]]:
    async with load(shipped(), SETTINGS) as engine:
        both = zip(prompts, ledgers, strict=True)
        return await asyncio.gather(*(recompute(engine, prompt, ledger["token_ids"]) for prompt, ledger in both))


@torch.inference_mode()
def recompute_in_one_pass(model: Any, prompt: list[int], token_ids: list[int]) -> list[float]:
    """The same by transformers' forward pass in float64, over prompt and reply together."""
    logprobs = model(input_ids=torch.tensor([[*prompt, *token_ids]])).logits[0].log_softmax(-1)
    return [float(logprobs[at - 1, token]) for at, token in enumerate(token_ids, len(prompt))]


def worst(found: list[float], recorded: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(found, recorded, strict=True))


def check(server: Served, model: Any, count: int) -> None:
    rng, tokenizer = random.Random(count), server.service.engine.tokenizer
    asked, ledgers = [], []
    for _ in range(count // 32):
        prompts = programs(rng, 16, tokenizer)
        body = {"prompt": prompts, "n": 2, "thinking_budget": rng.randrange(1, 12), "answer_tokens": 4}
        settings = {"temperature": rng.choice([0, 0.7, 1, 2]), "top_k": rng.choice([0, 5]), "seed": rng.randrange(99)}
        reply = server.post("/v1/completions", model="z1-tiny", token_ledger=True, **body, **settings)
        assert reply.status_code == 200, reply.text
        choices, usage = reply.json()["choices"], reply.json()["usage"]
        found = [choice["token_ledger"] for choice in choices]
        assert sum(len(ledger["token_ids"]) for ledger in found) == usage["completion_tokens"]
        asked += [prompt for prompt in prompts for _ in range(2)]
        ledgers += found
    assert sum(sum(ledger["is_forced"]) for ledger in ledgers) > 10 * count
    again = asyncio.run(recompute_all(asked, ledgers))
    assert max(map(worst, again, (ledger["logprobs"] for ledger in ledgers))) <= TOLERANCE
    for prompt, ledger in list(zip(asked, ledgers, strict=True))[:32]:
        assert worst(recompute_in_one_pass(model, prompt, ledger["token_ids"]), ledger["logprobs"]) <= FLOAT32_ERROR


def test_replies_are_recomputed_from_their_ledgers(tiny: Served, model: Any) -> None:
    check(tiny, model, 96)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_10000_replies_are_recomputed_from_their_ledgers(tiny: Served, model: Any) -> None:
    check(tiny, model, 10_016)


def test_thought_hint_and_answer_add_up(served: Served) -> None:
    (choice,) = served.post(**ASK, thinking_budget=7, token_ledger=True).json()["choices"]
    ledger, budget = choice["token_ledger"], choice["budget"]
    assert ledger["token_ids"] == [*map(ord, THOUGHT[:7] + HINT + FORCED), 3]
    ends = [7, 7 + len(HINT), 7 + len(HINT) + len(FORCED)]
    assert ledger["spans"] == [
        ["thought", 0, ends[0]],
        ["hint", ends[0], ends[1]],
        ["answer", ends[1], ends[2]],
        ["stop", ends[2], ends[2] + 1],
    ]
    assert [sum(ledger["is_forced"]), budget["used"]] == [budget["hint_tokens"], 7]
    assert ledger["logprobs"][:7] == [0.0] * 7 and ledger["logprobs"][7] == -9999.0
    assert choice["logprobs"] is None


def test_a_stream_has_the_ledger_at_its_end(served: Served) -> None:
    body = {**ASK, "thinking_budget": 7, "token_ledger": True, "logprobs": True}
    whole = served.post(**body).json()["choices"][0]
    events = chunks(served.post(**body, stream=True).text.splitlines())
    (found,) = [event["choices"][0]["token_ledger"] for event in events if "token_ledger" in event["choices"][0]]
    assert found == whole["token_ledger"]
    assert len(whole["logprobs"]["content"]) == 7 + len(FORCED)  # forced tokens are in the ledger alone
    assert "token_ledger" not in served.post(**ASK).text
    assert not any(math.isinf(one) for one in found["logprobs"])


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_agent_apis_have_the_same_ledger(served: Served, is_streamed: bool) -> None:
    fields: dict[str, Any] = {"model": "scripted", "thinking_budget": 7, "token_ledger": True, "stream": is_streamed}
    (choice,) = served.post(**{**ASK, **fields, "stream": False}).json()["choices"]
    response = served.post("/v1/responses", **fields, input="why?")
    message = served.post("/v1/messages", **fields, messages=ASK["messages"], max_tokens=900)
    if is_streamed:
        found = named_events(response)[-1]["response"], named_events(message)[-2]
    else:
        found = response.json(), message.json()
    for reply in found:
        assert reply["token_ledger"] == choice["token_ledger"]
        assert len(reply["token_ledger"]["token_ids"]) == reply["usage"]["output_tokens"]
