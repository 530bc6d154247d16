"""Which process is this, and how do processes share one model?

torchrun, or `accelerate launch` with eight-gpus.yaml, starts the processes and tells each its place. The model
is sharded by torch's own FSDP2 (`fully_shard`), on accelerators and, over gloo, on CPUs alike, so that the tests run
the code that eight GPUs run. accelerate would wrap the same call, but leaves it off on CPUs and says nothing. One
process in float32 without offload shards nothing; in bf16 one process does too, because FSDP2 is what keeps the weights
that learn in float32 and computes in bf16.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch._C._distributed_c10d import HashStore
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """This process among all: its `rank` of `world_size`, and the device that it computes on."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def all_reduce(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        if self.world_size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return [float(value) for value in summed]

    def barrier(self) -> None:
        """Until all processes are here."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def joined(*, alone_too: bool) -> Iterator[DistributedContext]:
    """The team that torchrun or accelerate started, or a team of one; `alone_too` makes a group of that one, too."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    begins = (world > 1 or alone_too) and not dist.is_initialized()
    if begins:
        store = HashStore() if world == 1 else None
        dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield DistributedContext(rank, world, device)
    finally:
        if begins:
            dist.destroy_process_group()


def shard(learner: nn.Module, team: DistributedContext, *, half: bool, offload: bool) -> None:
    """Move the learner to the device, each decoder layer sharded by itself and the rest with the root.

    What learns is kept in float32; with `half` it is computed with in bfloat16, and its gradients are summed in
    float32. With `offload` weights and optimizer stay in the host's memory.
    """
    model: Any = learner.model
    if team.world_size == 1 and not half and not offload:
        learner.to(team.device)
        return
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    told: dict[str, Any] = {
        "mesh": init_device_mesh(team.device.type, (team.world_size,)),
        "mp_policy": policy,
        "offload_policy": CPUOffloadPolicy() if offload else OffloadPolicy(),
    }
    for layer in [module for module in model.modules() if type(module).__name__ in set(model._no_split_modules or ())]:
        fully_shard(_raised(layer), **told)
    fully_shard(_raised(learner), **told)


def _raised(module: nn.Module) -> nn.Module:
    """The weights of `module` that learn, in float32: layer by layer, so that no process holds all of them at once."""
    for parameter in module.parameters():
        if parameter.requires_grad and not hasattr(parameter, "device_mesh"):
            parameter.data = parameter.data.float()
    return module


def gathered(model: Any) -> dict[str, Tensor]:
    """The whole weights by name in the memory of the first process; nothing in the others."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return cast(dict[str, Tensor], get_model_state_dict(model, options=options))
