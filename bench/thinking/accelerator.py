"""Decoding with the shape of a 7B model in bfloat16 on an accelerator, and its memory.

On a CPU the same code runs with a small shape. It has never run on an accelerator.
"""

from __future__ import annotations

import asyncio
import sys
from statistics import median
from typing import Any
from unittest import mock

import torch

from bench.memory import Peak, compared
from bench.thinking.full import LENGTH as CONTEXT
from bench.thinking.full import Case, Contest, share
from bench.thinking.models import SHAPES, Shape, make_model
from bench.thinking.ours import Ours
from bench.thinking.roofline import Machine
from bench.thinking.workloads import Request, Sizes, mixed, uniform
from z1.engines.local import kv_store, products
from z1.engines.local.decoder import Decoder, PrefillChunk

NAMES = {"cuda": "qwen2.5-coder-7b", "cpu": "bench-2m"}
"""The shape by device."""

SLOTS = {"cuda": 64, "cpu": 4}
LENGTH = {"cuda": CONTEXT, "cpu": 32}
"""Tokens of each slot; on a CPU so few that the KV cache does not grow."""

DTYPE = torch.bfloat16


def memory(shape: Shape, device: str, slots: int, length: int) -> dict[str, int]:
    """Bytes at the peak of loading, and of a prefill and a decode step with all slots full.

    On `meta` nothing is allocated: the result is the memory said beforehand. Weights are packed and caches are mappings
    on a CPU only, and so not in this stand-in for an accelerator.
    """
    mapped = mock.patch.object(kv_store, "_zeros", lambda like, *shape: like.new_zeros(shape))
    with mapped, mock.patch.object(products, "MIN_PACKED", sys.maxsize):
        with Peak(device) as load:
            decoder = Decoder(make_model(shape, device, length, DTYPE), slots, length, deterministic=False)
        with Peak(device) as step:
            decoder.last_logits([PrefillChunk(slot, 0, range(8)) for slot in range(slots)])
            decoder.last_logits([PrefillChunk(slot, length - 1, [0]) for slot in range(slots)])
    return {"load": load.peak, "serve": load.held + step.peak}


def batches(device: str) -> tuple[int, int]:
    """One context, and all slots."""
    return 1, SLOTS[device]


def replies(device: str, batch: int) -> list[Request]:
    """Requests of which the whole reply is sampled: 128 tokens on an accelerator."""
    return uniform(batch, 120 if device == "cuda" else 4, Sizes(prompt=16, hint=4, answer=4))


def decode(device: str) -> dict[str, Any]:
    """Memory, then tokens per second and the share of the roofline with one context and with all slots full."""
    shape, slots, length = SHAPES[NAMES[device]], SLOTS[device], LENGTH[device]
    found: dict[str, Any] = {"shape": shape.name}
    found["memory"] = compared(memory(shape, "meta", slots, length), memory(shape, device, slots, length))
    machine = Machine(torch.device(device), DTYPE)
    with asyncio.Runner() as runner:
        ours = Ours(make_model(shape, device, length, DTYPE), slots, length, runner)
        for batch in batches(device):
            requests = replies(device, batch)
            turns = [ours.free(requests) for _ in range(4)][1:]
            found[f"b{batch}"] = {
                "tokens_per_second": round(median(turn.tokens / turn.seconds for turn in turns), 1),
                **share(ours, shape, machine, batch, steps=64 if device == "cuda" else 4),
            }
    return found


def on_mixed_lengths(runner: asyncio.Runner, device: str) -> dict[str, Any]:
    """All arms but vLLM, with thoughts of mixed lengths."""
    contest = Contest(NAMES[device], runner, device, DTYPE)
    sizes = Sizes(prompt=32, hint=8, answer=32) if device == "cuda" else Sizes(prompt=4, hint=2, answer=2)
    requests = mixed(SLOTS[device], 32 if device == "cuda" else 2, sizes)
    return {"mixed": contest.measure(Case("mixed", requests), 60.0 if device == "cuda" else 2.0)}
