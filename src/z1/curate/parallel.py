"""Where is a function of blocks computed?

In this process, or as tasks of a Ray cluster (https://docs.ray.io/en/latest/ray-core/tasks.html): the one that
RAY_ADDRESS names, or a local one of all cores. Results come in the order of the blocks, and only so many blocks are
on their way that memory stays flat. An empty block is answered here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from z1.errors import Fault, UserError

Block = list[Any]

Function = Callable[[Block], Block]

ParallelMap = Callable[[Function, Iterable[Block]], Iterator[Block]]
"""Maps a function from block to block over blocks, in order."""

AHEAD = 2
"""Blocks on their way for each core of the cluster."""


def here(function: Function, blocks: Iterable[Block]) -> Iterator[Block]:
    """In this process, one after the other."""
    return map(function, blocks)


def on_ray(function: Function, blocks: Iterable[Block]) -> Iterator[Block]:
    """On a Ray cluster, whose workers have z1. Raises UserError without Ray, Fault where a task fails for good."""
    ray = _library()
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    shared, task = ray.put(function), ray.remote(_apply)
    room = AHEAD * int(ray.cluster_resources().get("CPU", 1))
    waiting: deque[Any] = deque()
    try:
        for block in blocks:
            waiting.append(task.remote(shared, block) if block else None)
            if len(waiting) > room:
                yield _result(ray, waiting.popleft())
        while waiting:
            yield _result(ray, waiting.popleft())
    except ray.exceptions.RayError as error:
        raise Fault(f"ray: {str(error).strip().splitlines()[-1]}; see its logs, and run the same again") from error


def _result(ray: Any, reference: Any) -> Block:
    return [] if reference is None else list(ray.get(reference))


def _apply(function: Function, block: Block) -> Block:
    return function(block)


def _library() -> Any:
    try:
        import ray
    except ImportError:
        raise UserError("--ray", "no Ray", "install z1[ray]") from None
    return ray
