"""z1's local engine as an arm of the benchmark.

With windows, in a free run of equal length (thought, hint and answer are all sampled), and in two passes: all thoughts
are sampled, then every context is discarded and prefilled again with the hint, then all answers are sampled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from statistics import mean
from typing import Any

from bench.thinking.turns import Measure, timed
from bench.thinking.workloads import Request, Requests
from z1.engines.driver import run_flow
from z1.engines.local.engine import LocalEngine, LocalSettings
from z1.engines.protocol import Sampling
from z1.engines.scripted import Characters
from z1.think import Flow, Window

PLAIN = Sampling()


class Ours:
    """A `LocalEngine` over `model`, and the ways to run requests on it."""

    def __init__(self, model: Any, max_num_seqs: int, length: int, runner: asyncio.Runner) -> None:
        settings = LocalSettings(max_num_seqs=max_num_seqs, max_model_len=length, deterministic=False)
        self.engine = LocalEngine(model, Characters(), ("bench", "plain"), settings)
        self._runner = runner

    def window(self, requests: Requests) -> Measure:
        """Every request thinks up to its window, gets the hint, and answers."""
        return self._counted(_total(map(self._think, requests)))

    def free(self, requests: Requests) -> Measure:
        """Every request samples as many tokens as its whole reply has; none are forced."""
        return self._counted(_total(self._sampled(r.prompt, r.length) for r in requests))

    def two_passes(self, requests: Requests) -> Measure:
        """All thoughts, then prefill and answers of the shifted requests."""

        async def passes() -> int:
            thoughts = await asyncio.gather(*(self._sample(r.prompt, r.thinking) for r in requests))
            joined = [
                ((*r.prompt, *thought, *r.hint), r.answer)
                for r, thought in zip(requests, thoughts, strict=True)
                if r.answer
            ]
            answers = await asyncio.gather(*(self._sample(prompt, limit) for prompt, limit in joined))
            return sum(map(len, thoughts)) + sum(map(len, answers))

        return self._counted(passes())

    def late(self, requests: Requests, gap: float) -> Measure:
        """Requests arrive every `gap` seconds."""
        start = time.perf_counter()
        latencies: list[float] = []

        async def one(index: int, request: Request) -> int:
            await asyncio.sleep(start + index * gap - time.perf_counter())
            tokens = await self._think(request)
            latencies.append(time.perf_counter() - start - index * gap)
            return tokens

        measure = self._counted(_total(one(i, r) for i, r in enumerate(requests)))
        return replace(measure, latency=mean(latencies))

    def steps(self, requests: Requests, count: int, watch: AbstractContextManager[object] | None = None) -> None:
        """Run `count` decode steps after the prefill of all `requests`; `watch` is entered for these steps only."""

        async def stepped() -> None:
            sessions = [await self.engine.open(r.prompt, PLAIN) for r in requests]
            await asyncio.gather(*(session.sample(1) for session in sessions))
            with watch or nullcontext():
                await asyncio.gather(*(session.sample(count) for session in sessions))
            for session in sessions:
                await session.close()

        self._runner.run(stepped())

    def _counted(self, work: Coroutine[Any, Any, int]) -> Measure:
        forward = self.engine.decoder
        calls, rows = forward.forward_passes, forward.computed_tokens
        measure = timed(lambda: self._runner.run(work))
        return replace(measure, calls=forward.forward_passes - calls, rows=forward.computed_tokens - rows)

    async def _think(self, request: Request) -> int:
        """Run one window; returns the number of sampled tokens."""
        window = Window(request.thinking, request.answer, request.hint, frozenset())
        session = await self.engine.open(request.prompt, PLAIN)
        try:
            ledger = (await run_flow(Flow(window, session.free_tokens), session)).ledger()
        finally:
            await session.close()
        return ledger.thought + (ledger.answer or 0)

    async def _sampled(self, prompt: Sequence[int], limit: int) -> int:
        return len(await self._sample(prompt, limit))

    async def _sample(self, prompt: Sequence[int], limit: int) -> tuple[int, ...]:
        session = await self.engine.open(prompt, PLAIN)
        try:
            return (await session.sample(limit)).token_ids
        finally:
            await session.close()


async def _total(works: Iterable[Coroutine[Any, Any, int]]) -> int:
    return sum(await asyncio.gather(*works))
