"""Cost of deterministic mode, and how often tokens depend on the batch without it.

Greedy replies of the packaged z1-tiny and of a random model are sampled one at a time and in batches of 64, with and
without deterministic mode. Counts the replies that differ. Measures CPU time per token of deterministic mode
over that of the default mode, in alternation. The last line is JSON.

    bench/determinism.py --quick        fewer problems; under 50 s
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.thinking.models import SHAPES, make_model
from bench.thinking.workloads import Sizes, uniform
from z1 import profiles
from z1.benchmarks import LoadOptions, get_benchmark
from z1.engines.local.engine import LocalEngine, LocalSettings
from z1.engines.protocol import Sampling
from z1.engines.scripted import Characters
from z1.model_files import load_model
from z1.models import shipped
from z1.prompts import prompt_token_ids

LENGTH, MAX_TOKENS = 512, 96
Prompts = Sequence[Sequence[int]]
Replies = list[tuple[int, ...]]


def z1_tiny(count: int) -> tuple[Any, Prompts, frozenset[int]]:
    """The packaged model, prompts of unseen programs, and its stop tokens."""
    loaded = load_model(str(shipped()), None)
    profile = profiles.get_profile(loaded.profile)
    problems = get_benchmark("programs").load(count, 1, LoadOptions())
    prompts = [prompt_token_ids(loaded.tokenizer, profile, problem.question) for problem in problems]
    return loaded.model, prompts, profiles.stop_token_ids(loaded.tokenizer, profile)


def random_model(count: int) -> tuple[Any, Prompts, frozenset[int]]:
    """`bench-2m`, whose logits are closer to each other than those of a trained model."""
    shape = SHAPES["bench-2m"]
    requests = uniform(count, 1, Sizes(prompt=16, hint=1, answer=1))
    return make_model(shape, "cpu", LENGTH), [request.prompt for request in requests], frozenset()


def replies(engine: LocalEngine, prompts: Prompts, stops: frozenset[int], batch_size: int) -> tuple[Replies, float]:
    """Up to `MAX_TOKENS` greedy tokens after each prompt, `batch_size` at a time, and the CPU seconds."""

    async def one(prompt: Sequence[int], slots: asyncio.Semaphore) -> tuple[int, ...]:
        async with slots:
            session = await engine.open(prompt, Sampling(stops))
            try:
                return (await session.sample(MAX_TOKENS)).token_ids
            finally:
                await session.close()

    async def every() -> Replies:
        slots = asyncio.Semaphore(batch_size)
        return await asyncio.gather(*(one(prompt, slots) for prompt in prompts))

    start = time.process_time()
    return asyncio.run(every()), time.process_time() - start


def compare(model: Any, prompts: Prompts, stops: frozenset[int], turns: int) -> dict[str, Any]:
    """Replies that change between batch sizes 1 and 64, and the cost of deterministic mode."""
    settings = LocalSettings(max_num_seqs=64, max_model_len=LENGTH)
    engines = {
        "ordinary": LocalEngine(model, Characters(), ("bench", "plain"), settings),
        "deterministic": LocalEngine(model, Characters(), ("bench", "plain"), replace(settings, deterministic=True)),
    }
    found: dict[str, Any] = {"replies": len(prompts)}
    for name, engine in engines.items():
        single, batched = (replies(engine, prompts, stops, width)[0] for width in (1, 64))
        found[f"replies_changed_{name}"] = sum(a != b for a, b in zip(single, batched, strict=True))
        found["ids"] = sum(map(len, batched))
    costs = []
    for _ in range(turns):
        ordinary, fixed = (replies(engine, prompts, stops, 64) for engine in engines.values())
        costs.append(fixed[1] / sum(map(len, fixed[0])) / (ordinary[1] / sum(map(len, ordinary[0]))))
    found["cost_of_deterministic"] = [
        round(value, 3) for value in (quantiles(costs, n=4, method="inclusive") if len(costs) > 1 else costs)
    ]
    return found


def main() -> None:
    """Compare, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Cost of deterministic mode.")
    parser.add_argument("--quick", action="store_true", help="fewer problems; under 50 s")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    result: dict[str, Any] = {"bench": "determinism"}
    for name, made, count in (("z1_tiny", z1_tiny, 12), ("bench_2m", random_model, 3)):
        result[name] = compare(*made(count if quick else 8 * count), 1 if quick else 5)
        print(name, result[name])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
