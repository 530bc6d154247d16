"""The local engine passes the conformance tests under any load."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.engines import conformance
from z1.engines import DriverOptions, Sampling, Session, run_flow
from z1.engines.local.engine import LocalEngine, LocalSettings
from z1.engines.scripted import Characters
from z1.errors import EngineFault, UserError
from z1.think import Flow, Window

VOCABULARY = 96


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Qwen2Config(vocab_size=VOCABULARY, num_key_value_heads=1, max_position_embeddings=128, **shape)
    made = Qwen2ForCausalLM(config)
    for parameter in made.parameters():  # larger weights, so that greedy tokens vary
        torch.nn.init.normal_(parameter, std=0.3) if parameter.ndim == 2 else None
    return made.eval()


def engine(model: Any, slots: int = 8, *, deterministic: bool = True) -> LocalEngine:
    return LocalEngine(model, Characters(), ("random", "plain"), LocalSettings(slots, 128, deterministic))


def is_idle(engine: LocalEngine) -> bool:
    """Whether every slot of the KV cache is free and no sample is running."""
    return len(engine.kv_cache.free_slots) == engine.kv_cache.num_slots and not engine._requests


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(4, VOCABULARY) for _ in range(rng.randint(3, 20))] for _ in range(count)]


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_conformance(model: Any, check: conformance.Check) -> None:
    local = engine(model)
    asyncio.run(check(local, prompts(1)[0]))  # type: ignore[arg-type]
    assert is_idle(local)


def test_greedy_tokens_equal_those_of_transformers(model: Any) -> None:
    """The two largest logits differ by at least 0.006; between kernels a logit differs by 1e-5."""

    async def ours(prompt: Sequence[int]) -> list[int]:
        session = await engine(model, deterministic=False).open(prompt, Sampling())
        return list((await session.sample(24)).token_ids)

    for prompt in prompts(4):
        settings = {"max_new_tokens": 24, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        theirs = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), **settings)
        assert asyncio.run(ours(prompt)) == theirs[0, len(prompt) :].tolist()


def test_two_slots_serve_many_sessions_without_interference(model: Any) -> None:
    async def all_at_once(local: LocalEngine) -> list[list[int]]:
        window = Window(9, 4, (5, 6, 7), frozenset())
        return await asyncio.gather(
            *(
                conformance.token_ids_of(local, ids, window, DriverOptions(max_chunk_tokens=1 + n % 3))
                for n, ids in enumerate(prompts(12))
            )
        )

    scarce, ample = engine(model, slots=2), engine(model, slots=12)
    assert asyncio.run(all_at_once(scarce)) == asyncio.run(all_at_once(ample))
    assert is_idle(scarce)
    assert is_idle(ample)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_sessions_leak_nothing_and_do_not_interfere(count: int) -> None:
    """Sessions join, fork, are cut, interrupted and cancelled at random. Every slot comes back, every ledger adds up,
    and every reply is the one, or the beginning of the one, that the same request gets alone.
    """
    local = engine(tiny(), slots=24)
    rng = random.Random(3)
    asked = [(ids, Window(rng.randint(0, 7), rng.randint(1, 4), (5, 6), frozenset({7}))) for ids in prompts(40)]
    alone = [asyncio.run(conformance.token_ids_of(local, ids, window)) for ids, window in asked]
    ends: Counter[str] = Counter()
    gate = asyncio.Semaphore(60)

    async def one(session: Session, window: Window, wanted: list[int], cut: float) -> None:
        flow = Flow(window, session.free_tokens)
        task = asyncio.create_task(run_flow(flow, session, DriverOptions(max_chunk_tokens=rng.choice((None, 1, 3)))))
        if cut < 0.2:
            for _ in range(rng.randrange(12)):
                await asyncio.sleep(0)
            session.interrupt() if cut < 0.1 else task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ledger = flow.ledger()
        assert ledger.completion_tokens == len(flow.token_ids)
        assert ledger.thought <= (window.thinking_budget or 0)
        assert flow.token_ids == (wanted[: len(flow.token_ids)] if flow.end is None else wanted)
        ends[flow.end.value if flow.end else "cancelled"] += 1

    async def live(number: int) -> None:
        (ids, window), wanted = asked[number % 40], alone[number % 40]
        async with gate:
            session = await local.open(ids, Sampling(stop_token_ids=window.stop_token_ids))
            fork = await session.fork() if rng.random() < 0.2 else None
            await one(session, window, wanted, rng.random())
            if fork is not None:
                await one(fork, window, wanted, rng.random())
                await fork.close()
            if rng.random() < 0.2:  # a fork of what it has become, closed before or after its origin
                late = await session.fork()
                await late.sample(1) if late.free_tokens else None
                await late.close()
            await session.close()

    async def many() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(live(number))

    asyncio.run(many())
    assert is_idle(local)
    assert ends["cancelled"] > count / 20
    assert ends["stop"] + ends["cut"] > count * 0.9


def tiny() -> Any:
    torch.manual_seed(5)
    torch.set_num_threads(1)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    made = Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, num_key_value_heads=1, **shape))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5) if parameter.ndim == 2 else None
    return made.eval()


def test_forced_tokens_are_prefilled_in_one_forward_pass(model: Any) -> None:
    async def run() -> int:
        local = engine(model, deterministic=False)
        session = await local.open([5, 6, 7], Sampling())
        await session.sample(4)
        before = local.decoder.forward_passes
        await session.append(list(range(10, 30)))
        await session.sample(1)
        return local.decoder.forward_passes - before

    assert asyncio.run(run()) == 1


def sampled_together(local: LocalEngine, asked: Sequence[list[int]], limit: int) -> list[tuple[int, ...]]:
    async def one(ids: list[int]) -> tuple[int, ...]:
        session = await local.open(ids, Sampling())
        try:
            return (await session.sample(limit)).token_ids
        finally:
            await session.close()

    async def every() -> list[tuple[int, ...]]:
        return await asyncio.gather(*(one(ids) for ids in asked))

    return asyncio.run(every())


def test_a_shared_prefix_is_computed_once_even_for_concurrent_sessions(model: Any) -> None:
    system = [4 + (5 * i * i) % 90 for i in range(60)]
    asked = [[*system, 10 + i] for i in range(6)]
    alone = [sampled_together(engine(model), [ids], 5)[0] for ids in asked]
    local = engine(model)
    assert sampled_together(local, asked, 5) == alone
    assert local.decoder.computed_tokens == 61 + 5 + 6 * 4
    assert sampled_together(local, asked, 5) == alone  # prefixes of closed sessions are reused too
    assert local.decoder.computed_tokens == 61 + 5 + 6 * 4 + 6 * 5


def test_a_fork_reuses_the_kv_cache_of_its_origin(model: Any) -> None:
    async def run() -> int:
        local = engine(model, deterministic=False)
        session = await local.open([5, 6, 7], Sampling())
        await session.sample(4)
        fork = await session.fork()
        before = local.decoder.computed_tokens
        await fork.sample(1)
        return local.decoder.computed_tokens - before

    assert asyncio.run(run()) == 1


def test_long_prompts_are_prefilled_over_several_steps_while_others_decode(model: Any) -> None:
    settings = LocalSettings(max_num_seqs=4, max_model_len=128, deterministic=True, max_num_batched_tokens=16)
    local = LocalEngine(model, Characters(), ("random", "plain"), settings)
    asked = [prompts(1)[0], [4 + (7 * i) % 90 for i in range(100)]]
    alone = [sampled_together(engine(model), [ids], 6)[0] for ids in asked]
    order: list[int] = []

    async def one(number: int) -> tuple[int, ...]:
        session = await local.open(asked[number], Sampling())
        ids = (await session.sample(6)).token_ids
        order.append(number)
        return ids

    async def both() -> None:
        assert [*await asyncio.gather(one(0), one(1))] == alone

    asyncio.run(both())
    assert order == [0, 1]
    assert local.decoder.forward_passes > 112 // 16


def test_waiting_sessions_get_slots_in_order_of_arrival(model: Any) -> None:
    local = engine(model, slots=1)
    order: list[int] = []

    async def one(number: int) -> None:
        session = await local.open([5 + number, 6, 7], Sampling())
        for _ in range(3):  # a session keeps its slot between two samples
            await session.sample(2)
            order.append(number)
        await session.close()

    async def every() -> None:
        await asyncio.gather(*(one(number) for number in range(4)))

    asyncio.run(every())
    assert order == sorted(order)


def test_other_families_run_through_transformers_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    gemma = GemmaForCausalLM(GemmaConfig(vocab_size=VOCABULARY, num_key_value_heads=1, head_dim=16, **shape)).eval()
    settings = LocalSettings(max_num_seqs=2, max_model_len=64, deterministic=True)
    local = LocalEngine(gemma, Characters(), ("gemma", "plain"), settings)
    assert "model type gemma: computed by transformers" in caplog.text
    asyncio.run(conformance.agreement(local, prompts(1)[0]))
    assert is_idle(local)
    mistral = MistralForCausalLM(MistralConfig(vocab_size=VOCABULARY, num_key_value_heads=1, sliding_window=8, **shape))
    asyncio.run(
        conformance.agreement(LocalEngine(mistral, Characters(), ("mistral", "plain"), settings), prompts(1)[0])
    )


def test_deterministic_mode_is_rejected_for_bfloat16() -> None:
    half = tiny().to(torch.bfloat16)
    with pytest.raises(UserError, match="deterministic mode: got bfloat16 on cpu"):
        engine(half)
    assert len(sampled_together(engine(half, deterministic=False), prompts(2), 5)[0]) == 5


def test_a_failing_model_is_an_engine_fault(model: Any) -> None:
    async def run() -> None:
        local = engine(model)
        session = await local.open([5, 6, VOCABULARY + 1], Sampling())
        await session.sample(1)

    with pytest.raises(EngineFault, match="the model failed"):
        asyncio.run(run())


def test_prompts_that_do_not_fit_are_rejected(model: Any) -> None:
    for ids, words in (([], "no tokens"), ([5] * 128, "128 tokens")):
        with pytest.raises(UserError, match=words):
            asyncio.run(engine(model).open(ids, Sampling()))


def test_a_draw_depends_on_seed_and_sample_only(model: Any) -> None:
    async def draw(seed: int, sample: int, crowd: int) -> list[int]:
        local = engine(model)
        sessions = [await local.open(ids, Sampling(temperature=1.0, seed=9)) for ids in prompts(crowd)]
        mine = await local.open([5, 6, 7], Sampling(temperature=1.0, seed=seed, sample=sample))
        found = await asyncio.gather(mine.sample(12), *(session.sample(12) for session in sessions))
        return list(found[0].token_ids)

    base = asyncio.run(draw(1, 0, 0))
    assert asyncio.run(draw(1, 0, 5)) == base
    assert asyncio.run(draw(2, 0, 0)) != base
    assert asyncio.run(draw(1, 1, 0)) != base
