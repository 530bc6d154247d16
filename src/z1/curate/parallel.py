"""Parallel map over blocks of candidates: in this process, as Ray tasks, or as shards run by any scheduler.

For throughput, blocks can be measured on several machines at once; the results do not depend on where.

Ray (https://docs.ray.io/en/latest/ray-core/tasks.html): on the cluster in RAY_ADDRESS, or on a local one of all cores.
Results come in the order of the blocks, and the number of blocks in flight is bounded, so memory stays flat. An empty
block is answered without a task.

Shards: `--shard 2/4` measures every fourth candidate, beginning with the second, and writes a log of its own. With the
logs of all shards in one folder nothing is left to measure, so a merge is an ordinary build. A scheduler only has to
start a command and copy a file.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from z1.errors import Fault, UserError, install_hint

Block = list[Any]

Function = Callable[[Block], Block]

ParallelMap = Callable[[Function, Iterable[Block]], Iterator[Block]]
"""Maps a function from block to block over blocks, in order."""

BLOCKS_PER_CORE = 2
"""Blocks in flight for each core of the cluster."""


def in_process(function: Function, blocks: Iterable[Block]) -> Iterator[Block]:
    """Map sequentially in this process."""
    return map(function, blocks)


def on_ray(function: Function, blocks: Iterable[Block]) -> Iterator[Block]:
    """Map on a Ray cluster whose workers have z1. Raises UserError without Ray, Fault if a task fails for good."""
    ray = _import_ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    shared, task = ray.put(function), ray.remote(_apply)
    max_in_flight = BLOCKS_PER_CORE * int(ray.cluster_resources().get("CPU", 1))
    in_flight: deque[Any] = deque()
    try:
        for block in blocks:
            in_flight.append(task.remote(shared, block) if block else None)
            if len(in_flight) > max_in_flight:
                yield _result(ray, in_flight.popleft())
        while in_flight:
            yield _result(ray, in_flight.popleft())
    except ray.exceptions.RayError as error:
        raise Fault(
            f"ray: {str(error).strip().splitlines()[-1]}; see its logs, and run the same command again"
        ) from error


def _result(ray: Any, reference: Any) -> Block:
    return [] if reference is None else list(ray.get(reference))


def _apply(function: Function, block: Block) -> Block:
    return function(block)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UserError("--ray", "no Ray", install_hint("ray")) from None
    return ray


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 1, of `total` parts of a plan's candidates."""

    number: int
    total: int

    @property
    def log(self) -> str:
        """The name of the shard's log in the run's folder."""
        return f"measured-{self.number}-of-{self.total}.jsonl"


def parse_shard(text: str) -> Shard:
    """The shard written as `2/4`. Raises UserError for anything else."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not match or int(match[1]) > int(match[2]):
        raise UserError("--shard", text, "give i/n, with i from 1 to n")
    return Shard(int(match[1]), int(match[2]))
