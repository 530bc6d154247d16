"""What z1's plug-in costs in a step of vLLM's second runner.

`step_costs` calls the processor as that runner does, with buffers of the same kind on the device and without vLLM, so
the code runs on a CPU too: with no window in the batch, with windows of which none is due, and with all of them forcing
a token. `in_vllm` generates the same requests with and without the processor, in vLLM itself.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from z1.models import shipped
from z1.think import Flow, Window
from z1.vllm_plugin.batch_state import V2BatchSlots
from z1.vllm_plugin.token_constraint import TokenConstraint

SIZES = {"cuda": (64, 151_936, 4096), "cpu": (4, 1000, 512)}
"""Slots, vocabulary and context by device."""

PROMPT, REPLY, HINT = 16, 64, (5, 6, 7, 8)
BUDGETS = {"none": None, "idle": 1024, "forcing": REPLY}
"""The thinking budget of every request, of which `REPLY` tokens are used; None: no window."""

STEPS = {"cuda": 200, "cpu": 20}


def step_costs(device: str) -> dict[str, Any]:
    """Microseconds of a step by case, median and largest of the middle nine tenths."""
    found: dict[str, Any] = {"slots": SIZES[device][0]}
    for name, budget in BUDGETS.items():
        times = sorted(_timed(device, budget))
        found[name] = {
            "microseconds": round(median(times) * 1e6, 1),
            "p95": round(times[int(len(times) * 0.95)] * 1e6, 1),
        }
    return found


def _timed(device: str, budget: int | None) -> list[float]:
    slots, vocabulary, _ = SIZES[device]
    processor, batch = runner(device, budget)
    logits = torch.zeros(slots, vocabulary, device=device)
    processor.apply(logits, batch)  # the constraints read what is there
    synchronize: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else _nothing
    times = []
    for _ in range(STEPS[device]):
        synchronize()
        start = time.perf_counter()
        processor.apply(logits, batch)
        synchronize()
        times.append(time.perf_counter() - start)
    return times


def runner(device: str, budget: int | None) -> tuple[V2BatchSlots, Any]:
    """The processor with full slots, and the batch of a step, as vLLM's second runner has them."""
    slots, _, context = SIZES[device]
    length = PROMPT + REPLY
    states = SimpleNamespace(
        prompt_len=SimpleNamespace(np=np.full(slots, PROMPT)),
        all_token_ids=SimpleNamespace(gpu=torch.full((slots, context), 9, device=device)),
        total_len=SimpleNamespace(gpu=torch.full((slots,), length, device=device)),
    )
    processor = V2BatchSlots(_make, _uncounted, states)
    for slot in range(slots):
        processor.add_request(slot, budget)
    rows = torch.arange(slots, device=device)
    batch = SimpleNamespace(
        idx_mapping_np=np.arange(slots),
        expanded_idx_mapping=rows,
        expanded_local_pos=torch.zeros_like(rows),
        input_ids=torch.full_like(rows, 9),
        seq_lens_upper_bound_np=np.full(slots, length),
    )
    return processor, batch


def _make(budget: int | None, _: int | None) -> TokenConstraint | None:
    if budget is None:
        return None
    return TokenConstraint(Flow(Window(budget, 512, HINT, frozenset()), 4096))


def _uncounted(name: str, label: str) -> None:
    """The benchmark has no metrics."""


def _nothing() -> None:
    """A CPU has nothing to wait for."""


def with_tokenizer(folder: str) -> None:
    """Put a tokenizer into a model folder, which the processor reads; its vocabulary may be smaller."""
    for path in Path(shipped()).glob("tokenizer*"):
        shutil.copy(path, folder)
