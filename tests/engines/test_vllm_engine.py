"""vLLM in this process passes the conformance tests.

The last test needs an environment with vLLM, z1, pytest and hypothesis; the others use a stand-in.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from tests.engines import conformance
from tests.vllm_server import QUIET
from z1 import profiles
from z1.engines import FinishReason, Sampling
from z1.engines import vllm_engine as engines
from z1.engines.local import engine as here
from z1.engines.scripted import Characters
from z1.engines.vllm_engine import VllmEngine, VllmSession, VllmSettings
from z1.errors import EngineFault, UserError
from z1.generation import GenerationOptions, generate_reply
from z1.models import EXAMPLES, shipped

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM in the environment that runs the tests")

PROMPT = [5, 6, 7, 20, 33, 41, 9, 11]


class Fake:
    """A stand-in for AsyncLLM: samples its number of tokens, and drops the last one between pieces as vLLM does."""

    def __init__(self) -> None:
        self.pieces: list[list[int]] = []
        self.given_up = 0
        self.dies = False

    async def generate(self, inputs: Any, params: Any, name: str) -> Any:
        held: list[int] = []
        try:
            async for piece in inputs:
                if self.dies:
                    raise RuntimeError("the engine core died")
                self.pieces.append(piece.prompt["prompt_token_ids"])
                held = held[:-1] + self.pieces[-1]
                limit = piece.sampling_params
                for count in range(1, limit + 1):
                    await asyncio.sleep(0)
                    held.append(len(held))
                    ended = "length" if count == limit else None
                    yield SimpleNamespace(
                        outputs=[SimpleNamespace(token_ids=[held[-1]], logprobs=None, finish_reason=ended)]
                    )
        finally:
            self.given_up += 1


def with_fake(monkeypatch: pytest.MonkeyPatch, act: Callable[[VllmSession, Fake], Awaitable[Any]]) -> Any:
    fake = Fake()
    engine = VllmEngine("made", Characters(), ("made", "plain"), VllmSettings(100))
    monkeypatch.setattr(engine, "_llm", fake)
    monkeypatch.setattr(engines, "sampling_params", lambda max_tokens, *_: max_tokens)
    monkeypatch.setattr(
        engines,
        "piece",
        lambda ids, params: SimpleNamespace(prompt={"prompt_token_ids": list(ids)}, sampling_params=params),
    )

    async def run() -> Any:
        return await act(await engine.open([0, 1, 2], Sampling()), fake)

    return asyncio.run(run())


def test_the_next_piece_starts_with_the_token_that_vllm_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(session: VllmSession, fake: Fake) -> None:
        assert (await session.sample(2)).token_ids == (3, 4)
        await session.append([70, 71])
        assert (await session.sample(3)).token_ids == (7, 8, 9)
        assert (await session.sample(1)).token_ids == (10,)
        assert fake.pieces == [[0, 1, 2], [4, 70, 71], [9]]
        assert session.context == [0, 1, 2, 3, 4, 70, 71, 7, 8, 9, 10]
        await session.close()
        await session.close()
        assert fake.given_up == 1

    with_fake(monkeypatch, act)


def test_an_interrupted_sample_abandons_its_request_and_the_next_sends_all_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def act(session: VllmSession, fake: Fake) -> None:
        task = asyncio.create_task(session.sample(50))
        while len(session.pending_token_ids) < 4:
            await asyncio.sleep(0)
        session.interrupt()
        first = await task
        assert first.reason is FinishReason.INTERRUPTED
        assert first.token_ids == tuple(range(3, 3 + len(first.token_ids)))
        assert (fake.given_up, session.pending_token_ids) == (1, ())
        await session.sample(1)
        assert fake.pieces[-1] == list(range(3 + len(first.token_ids)))
        fork = await session.fork()
        await fork.sample(1)
        assert fake.pieces[-1] == fork.context[:-1] == session.context
        for one in (session, fork):
            await one.close()
        assert fake.given_up == 3

    with_fake(monkeypatch, act)


def test_vllms_exceptions_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(session: VllmSession, fake: Fake) -> None:
        fake.dies = True
        with pytest.raises(EngineFault, match="core died"):
            await session.sample(2)

    with_fake(monkeypatch, act)


def test_an_engine_that_is_not_entered_is_a_fault() -> None:
    async def run() -> None:
        engine = VllmEngine("made", Characters(), ("made", "plain"), VllmSettings(10))
        for prompt in ([], [1] * 10):
            with pytest.raises(UserError):
                await engine.open(prompt, Sampling())
        with pytest.raises(EngineFault, match="enter"):
            await (await engine.open([1], Sampling())).sample(1)

    asyncio.run(run())


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is here")
def test_a_missing_vllm_is_a_user_error() -> None:
    with pytest.raises(UserError, match="pip install"):
        engines.load(shipped())


@pytest.mark.real
@needs_vllm
@pytest.mark.timeout(1500)
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:Unclosed context <zmq.Context:ResourceWarning")  # vLLM's own
def test_conformance_and_replies_of_the_local_engine() -> None:
    os.environ.update(QUIET)
    arguments = (("dtype", "float32"), ("enforce_eager", True), ("max_num_seqs", 16))
    question = EXAMPLES[-1]
    asked = [
        GenerationOptions(thinking_budget=window, max_answer_tokens=24, stop=stop)
        for window in (0, 9, 200)
        for stop in ((), ("box",))
    ]

    async def run() -> None:
        async with engines.load(shipped(), VllmSettings(512, arguments)) as engine:
            for check in conformance.CHECKS:
                await check(engine, PROMPT)
            local = here.load(shipped(), here.LocalSettings(max_num_seqs=2, max_model_len=512, deterministic=True))
            for options in asked:
                got, wanted = (
                    await generate_reply(engine, question, options),
                    await generate_reply(local, question, options),
                )
                assert (got.text, got.ledger, got.end, got.shift) == (
                    wanted.text,
                    wanted.ledger,
                    wanted.end,
                    wanted.shift,
                )
            assert profiles.get_profile(engine.profile).name == "z1-tiny"

    asyncio.run(run())
