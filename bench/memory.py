"""Bytes of tensors on a device, at their peak.

On CUDA the figure is `torch.cuda.max_memory_allocated`; on a CPU it comes from the allocations that torch's profiler
records; on `meta`, where no tensor has memory, from the sizes of the storages that are alive. So the code that is
measured on a GPU also runs on `meta` beforehand, with the full shapes, and on a CPU in a test, with small ones.
"""

from __future__ import annotations

import gc
import weakref
from itertools import accumulate
from typing import Any, Self

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak:
    """Bytes on `device` inside a `with` block, above those before it: at their `peak`, and `held` at the end."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device).type
        self.peak = self.held = 0

    def __enter__(self) -> Self:
        gc.collect()
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        self._live = LiveStorages()
        if self._device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            (self._live if self._device == "meta" else self._profile).__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        gc.collect()
        if self._device == "cuda":
            torch.cuda.synchronize()
            self.held = torch.cuda.memory_allocated() - self._before
            self.peak = torch.cuda.max_memory_allocated() - self._before
        elif self._device == "meta":
            self._live.__exit__(*error)  # type: ignore[no-untyped-call]
            self.held, self.peak = self._live.held, self._live.peak
        else:
            self._profile.__exit__(*error)
            sums = list(accumulate(_allocations(self._profile), initial=0))
            self.held, self.peak = sums[-1], max(sums)


def _allocations(done: Any) -> list[int]:
    """Bytes of each allocation, and those of each release below zero, in order of time."""
    events = [event for event in done.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of storages that operations allocate, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        older = _storages((args, kwargs)).keys()
        found = func(*args, **(kwargs or {}))
        for key, storage in _storages(found).items():
            if key not in older:  # neither a view nor in place
                self.held += storage.nbytes()
                self.peak = max(self.peak, self.held)
                weakref.finalize(storage, self._remove, storage.nbytes())
        return found

    def _remove(self, size: int) -> None:
        self.held -= size


def _storages(values: Any) -> dict[int, torch.UntypedStorage]:
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return {storage._cdata: storage for storage in (tensor.untyped_storage() for tensor in tensors)}


def compared(said: dict[str, int], measured: dict[str, int]) -> dict[str, dict[str, float]]:
    """The bytes said beforehand and those measured, by name, in GiB, and the measured over the said."""
    return {
        name: {
            "said_gib": round(said[name] / 2**30, 3),
            "measured_gib": round(measured[name] / 2**30, 3),
            "measured_over_said": round(measured[name] / said[name], 4),
        }
        for name in said
    }
