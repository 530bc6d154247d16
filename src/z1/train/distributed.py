"""Distributed training: the process group, sharding by FSDP2, and gathered weights.

torchrun, or `accelerate launch` with `eight-gpus.yaml` of z1's recipes, starts the processes and sets their ranks.
torch's own FSDP2 (`fully_shard`) shards the model, on accelerators and, over gloo, on CPUs alike, so that the tests run
the code that eight GPUs run. accelerate would wrap the same call, but skips it on CPUs without a message. One process
in float32 without offload shards nothing. In bf16 one process shards too, because FSDP2 stores the trainable weights in
float32 and computes in bf16; on a CPU, where its copies take time and memory, plain casts do the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
from torch.func import functional_call


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """This process: its `rank` of `world_size`, and its device."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def all_reduce(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        if self.world_size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return [float(value) for value in summed]

    def barrier(self) -> None:
        """Wait until all processes have called it."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def process_group(*, single: bool) -> Iterator[DistributedContext]:
    """The context of this process among those of torchrun or accelerate, or of a single process.

    A single process gets a group only with `single`.
    """
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    is_owner = (world_size > 1 or single) and not dist.is_initialized()
    if is_owner:
        store = HashStore() if world_size == 1 else None
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    try:
        yield DistributedContext(rank, world_size, device)
    finally:
        if is_owner:
            dist.destroy_process_group()


def shard(
    loss_model: nn.Module, context: DistributedContext, *, bf16: bool, offload: bool, recomputes: bool = False
) -> Callable[..., Tensor]:
    """Move the model to the device and shard it: each decoder layer by itself, the rest with the root. Returns what
    computes its losses.

    Trainable weights are stored in float32; with `bf16` they are computed with in bfloat16, and gradients are reduced
    in float32. With `offload` weights and optimizer state are in the host's memory. `recomputes`: parts of the forward
    pass are computed again in the backward pass.
    """
    model: Any = loss_model.model
    if context.world_size == 1 and not bf16 and not offload:
        return loss_model.to(context.device)
    if bf16 and casts_weights(context.world_size, offload=offload, recomputes=recomputes):
        return _in_bfloat16(_trainable_to_float32(loss_model))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    options: dict[str, Any] = {
        "mesh": init_device_mesh(context.device.type, (context.world_size,)),
        "mp_policy": policy,
        "offload_policy": CPUOffloadPolicy() if offload else OffloadPolicy(),
    }
    for layer in [module for module in model.modules() if type(module).__name__ in set(model._no_split_modules or ())]:
        fully_shard(_trainable_to_float32(layer), **options)
    fully_shard(_trainable_to_float32(loss_model), **options)
    return loss_model


def casts_weights(world_size: int, *, offload: bool, recomputes: bool) -> bool:
    """Whether a training in bf16 casts whole weights itself, in place of FSDP2: one process on a CPU."""
    return world_size == 1 and not offload and not recomputes and not torch.cuda.is_available()


def _in_bfloat16(module: nn.Module) -> Callable[..., Tensor]:
    """`module` computed with bfloat16 copies of its float32 weights; their gradients are in float32.

    The copies live for one forward pass and its gradient, so no part of the pass may be computed again later.
    """

    def compute(*given: Any) -> Tensor:
        copies = {name: parameter.bfloat16() for name, parameter in module.named_parameters()}
        return cast(Tensor, functional_call(module, copies, given))

    return compute


def _trainable_to_float32(module: nn.Module) -> nn.Module:
    """`module` with trainable weights in float32; called layer by layer, so that not all exist unsharded at once."""
    for parameter in module.parameters():
        if parameter.requires_grad and not hasattr(parameter, "device_mesh"):
            parameter.data = parameter.data.float()
    return module


def gather_weights(model: Any) -> dict[str, Tensor]:
    """The full weights by name, in the memory of the first process; an empty dict in the others."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return cast(dict[str, Tensor], get_model_state_dict(model, options=options))
