"""The roofline of a decode step, and a profile of the rest.

A decode step has to multiply its rows with every matrix, and its queries with their keys and values, and to read every
weight and the KV cache of every context once. The minimal time of a step is the longer of the two at the
machine's rates, measured here with a large square matrix product and with reading memory far larger than any cache.
The share is the minimal time over the measured one. Norms, softmax, scheduling and Python are not in the minimum. On a
CPU the clock is this process's CPU time, because one thread computes and other processes may use the machine.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench.thinking.models import Shape

GROUPS = {
    "linear": "linear addmm mm matmul mkldnn",
    "attention": "scaled_dot_product bmm baddbmm softmax",
    "copy": "copy clone contiguous cat stack index gather scatter fill zero to_copy embedding",
    "views": "view reshape unsafe_view transpose t expand slice select unsqueeze squeeze as_strided empty to narrow",
}
"""Prefixes of operation names by group; all others are norms and other elementwise operations."""


@dataclass(frozen=True, slots=True)
class Step:
    """FLOPs and memory traffic of one decode step over `rows` contexts of `context` tokens."""

    flops: float
    moved: float
    """Bytes."""


def step(shape: Shape, rows: int, context: float, width: int) -> Step:
    """The minimal work of a step; a number has `width` bytes."""
    inner, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    layer = shape.hidden * (2 * inner + 2 * kv + 3 * shape.ffn)
    weights = shape.layers * layer + shape.vocabulary * shape.hidden
    seen = rows * context * shape.layers
    return Step(2.0 * weights * rows + 4.0 * seen * inner, width * (weights + 2.0 * seen * kv))


class Machine:
    """The measured rates of a device, for matrices of `dtype`."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self.width, self.on_cpu = device, dtype.itemsize, device.type == "cpu"
        self.clock = time.process_time if self.on_cpu else time.perf_counter
        side = 1024 if self.on_cpu else 8192
        self._square = torch.randn(side, side, dtype=dtype, device=self._device)
        self._big = torch.ones(2**26 if self.on_cpu else 2**31, dtype=torch.float32, device=self._device)

    @torch.inference_mode()
    def matrix_rate(self) -> float:
        """FLOPs per second of a square matrix product."""
        return 2.0 * len(self._square) ** 3 / self._seconds(lambda: self._square @ self._square)

    @torch.inference_mode()
    def memory_rate(self) -> float:
        """Bytes per second of a memory read."""
        return float(self._big.numel() * 4 / self._seconds(self._big.sum))

    @torch.inference_mode()
    def copy_rate(self) -> float:
        """Bytes per second of a copy, read and written ones."""
        half = self._big.numel() // 2
        return float(self._big.numel() * 4 / self._seconds(lambda: self._big[:half].copy_(self._big[half:])))

    def _seconds(self, work: Callable[[], Tensor | None]) -> float:
        work()
        taken = []
        for _ in range(5):
            self._wait()
            start = self.clock()
            work()
            self._wait()
            taken.append(self.clock() - start)
        return median(taken)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


class Watch:
    """Seconds spent inside a `with` block."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = self._clock()

    def __exit__(self, *error: Any) -> None:
        self.seconds = self._clock() - self._start


class Profile:
    """Shares of wall time inside a `with` block by group of operations, from torch's profiler."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}
        """`python` is the time outside all operations, including the overhead of the profiler."""

    def __enter__(self) -> None:
        self._profile = profile(activities=[ProfilerActivity.CPU])
        self._profile.__enter__()
        self._start = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        whole = 1e6 * (time.perf_counter() - self._start)
        self._profile.__exit__(*error)
        taken: defaultdict[str, float] = defaultdict(float)
        for event in self._profile.key_averages():
            taken[_group(event.key)] += event.self_cpu_time_total
        taken["python"] = max(0.0, whole - sum(taken.values()))
        self.shares = {name: round(spent / whole, 3) for name, spent in sorted(taken.items())}


def _group(name: str) -> str:
    plain = name.rsplit("::", maxsplit=1)[-1].strip("_")
    for group, words in GROUPS.items():
        if any(plain == word or plain.startswith(f"{word}_") for word in words.split()):
            return group
    return "norm and elementwise"
