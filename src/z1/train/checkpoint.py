"""Sharded checkpoints of fine-tuning: written atomically, restored by any number of processes.

A checkpoint is a folder `checkpoint-00000120` with the trainable parameters and the optimizer's state as safetensors,
one file per process, and `state.json`. It is written under a hidden name, renamed when every process has synced its
file to disk, and only then the previous one is deleted: one complete checkpoint always exists. Nothing is unpickled;
torch.distributed.checkpoint is not used because its index is a pickle.

FSDP2 shards every tensor along its first dimension, so the parts can be concatenated for another number of processes.
With the same number of processes, training resumes to the same bits on the same kind of processor.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from z1.errors import UserError
from z1.runs import disk_full_as_os_error, read_json, sync_file, write_json
from z1.train.distributed import DistributedContext

PREFIX = "checkpoint-"

UNREADABLE = (
    *(RuntimeError, SafetensorError, FileNotFoundError, EOFError, UnpicklingError),
    *(LookupError, TypeError, ValueError, AttributeError),
)
"""What is raised for a checkpoint that was cut or holds something else."""

NamedParameters = list[tuple[str, nn.Parameter]]


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint in `folder`."""
    return max(folder.glob(f"{PREFIX}*"), default=None)


def trainable(module: nn.Module) -> NamedParameters:
    """The trainable parameters by name. Call it once: while FSDP2 has parameters gathered, it shows other ones."""
    return [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]


def save(
    folder: Path,
    facts: Mapping[str, Any],
    parameters: NamedParameters,
    optimizer: torch.optim.Optimizer,
    context: DistributedContext,
) -> None:
    """Save the state after `facts["step"]` steps; the previous checkpoint is deleted when this one is complete."""
    complete, partial = folder / f"{PREFIX}{facts['step']:08d}", folder / f".{PREFIX}half"
    if complete.exists():
        return
    if context.is_main:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    context.barrier()
    part = partial / _part_name(context.rank, context.world_size)
    tensors = {name: _local(tensor) for name, tensor in _named_tensors(parameters, optimizer)}
    try:
        with disk_full_as_os_error(part):
            save_file(tensors, part)
        sync_file(part)
        context.barrier()
        if context.is_main:
            write_json(partial / "state.json", {"processes": context.world_size, "facts": facts})
            partial.replace(complete)
            _delete_all_but(folder, complete)
    finally:
        if context.is_main:
            shutil.rmtree(partial, ignore_errors=True)
    context.barrier()


def restore(
    folder: Path, parameters: NamedParameters, optimizer: torch.optim.Optimizer, context: DistributedContext
) -> dict[str, Any]:
    """Load the newest checkpoint in `folder`; returns its facts, or an empty dict if there is none."""
    found = latest(folder)
    if found is None:
        return {}
    try:
        return _restore(found, parameters, optimizer, context)
    except UNREADABLE as error:
        got = f"cut or of another kind ({type(error).__name__})"
        raise UserError(f"checkpoint {found}", got, "delete this folder; training starts from its first step") from None


def _restore(
    found: Path, parameters: NamedParameters, optimizer: torch.optim.Optimizer, context: DistributedContext
) -> dict[str, Any]:
    state = read_json(found / "state.json", "processes", "facts")
    same = state["processes"] == context.world_size
    ranks = [context.rank] if same else range(state["processes"])
    with ExitStack() as stack:
        files = [
            stack.enter_context(safe_open(found / _part_name(rank, state["processes"]), framework="pt"))
            for rank in ranks
        ]
        for name, parameter in parameters:
            with torch.no_grad():
                parameter.copy_(_load(files, f"weights/{name}", parameter, same=same))
            saved = [key.split("/", 1)[0] for key in files[0].keys() if key.endswith(f"/{name}")]  # noqa: SIM118
            optimizer.state[parameter] = {
                key: _load(files, f"{key}/{name}", parameter, same=same) for key in saved if key != "weights"
            }
    return {**state["facts"], "step": int(state["facts"]["step"])}


def _named_tensors(parameters: NamedParameters, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in parameters:
        yield f"weights/{name}", parameter
        for key, value in optimizer.state[parameter].items():
            yield f"{key}/{name}", value


def _local(tensor: Tensor) -> Tensor:
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach().contiguous()


def _load(files: list[Any], key: str, like: Tensor, *, same: bool) -> Tensor:
    """The tensor `key`, concatenated from the parts in `files` and sharded as the parameter `like`."""
    pieces = [file.get_tensor(key) for file in files]
    if not isinstance(like, DTensor) or pieces[0].ndim == 0:
        return (pieces[0] if same or pieces[0].ndim == 0 else torch.cat(pieces)).to(like.device)
    mesh, placements = like.device_mesh, like.placements
    if not same:
        return distribute_tensor(torch.cat(pieces).to(like.device), mesh, placements, src_data_rank=None)
    local = pieces[0].to(like.device)
    return DTensor.from_local(local, mesh, placements, shape=like.shape, stride=like.stride())


def _part_name(rank: int, world_size: int) -> str:
    return f"part-{rank:05d}-of-{world_size:05d}.safetensors"


def _delete_all_but(folder: Path, keep: Path) -> None:
    """Delete older checkpoints: rename first, then remove, so that no partial checkpoint has a checkpoint's name."""
    for older in folder.glob(f"{PREFIX}*"):
        if older != keep:
            renamed = older.with_name(f".{older.name}.older")
            with suppress(OSError):
                os.replace(older, renamed)
    for renamed in folder.glob(f".{PREFIX}*.older"):
        shutil.rmtree(renamed, ignore_errors=True)
