"""How is a training kept, and taken up again?

A checkpoint is a folder `checkpoint-00000120`: what learns and its optimizer's state as safetensors, a file a process,
and `state.json`. It is filled under a hidden name and renamed when every process has written its part to the disk, and
only then is the one before it deleted: whatever happens, one whole checkpoint is there. Nothing is unpickled, which
is why this is not torch.distributed.checkpoint: its index is a pickle.

FSDP2 cuts every tensor along its first dimension, so the parts of other numbers of processes can be joined: a training
goes on on as many as there are, to the bit where there are as many as before on the same kind of processor.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from z1.runs import disk_full_as_os_error, read_json, sync_file, write_json
from z1.train.distributed import DistributedContext

PREFIX = "checkpoint-"

Learning = list[tuple[str, nn.Parameter]]


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`."""
    return max(folder.glob(f"{PREFIX}*"), default=None)


def learning(learner: nn.Module) -> Learning:
    """The parameters that learn, by name; asked once, because FSDP2 shows others while it has them gathered."""
    return [(name, parameter) for name, parameter in learner.named_parameters() if parameter.requires_grad]


def save(
    folder: Path,
    facts: Mapping[str, Any],
    parameters: Learning,
    optimizer: torch.optim.Optimizer,
    team: DistributedContext,
) -> None:
    """Keep everything as it is after `facts["step"]` steps; the checkpoint before goes when this one is whole."""
    whole, half = folder / f"{PREFIX}{facts['step']:08d}", folder / f".{PREFIX}half"
    if whole.exists():
        return
    if team.is_main:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
    team.barrier()
    part = half / _part(team.rank, team.world_size)
    tensors = {name: _local(tensor) for name, tensor in _named(parameters, optimizer)}
    try:
        with disk_full_as_os_error(part):
            save_file(tensors, part)
        sync_file(part)
        team.barrier()
        if team.is_main:
            write_json(half / "state.json", {"processes": team.world_size, "facts": facts})
            half.replace(whole)
            _delete_all_but(folder, whole)
    finally:
        if team.is_main:
            shutil.rmtree(half, ignore_errors=True)
    team.barrier()


def restore(
    folder: Path, parameters: Learning, optimizer: torch.optim.Optimizer, team: DistributedContext
) -> dict[str, Any]:
    """Take up the newest checkpoint in `folder`; returns its facts, nothing where there is none."""
    found = latest(folder)
    if found is None:
        return {}
    state = read_json(found / "state.json")
    same = state["processes"] == team.world_size
    ranks = [team.rank] if same else range(state["processes"])
    with ExitStack() as stack:
        files = [
            stack.enter_context(safe_open(found / _part(rank, state["processes"]), framework="pt")) for rank in ranks
        ]
        for name, parameter in parameters:
            with torch.no_grad():
                parameter.copy_(_joined(files, f"weights/{name}", parameter, same=same))
            kept = [key.split("/", 1)[0] for key in files[0].keys() if key.endswith(f"/{name}")]  # noqa: SIM118
            optimizer.state[parameter] = {
                key: _joined(files, f"{key}/{name}", parameter, same=same) for key in kept if key != "weights"
            }
    facts: dict[str, Any] = state["facts"]
    return facts


def _named(parameters: Learning, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in parameters:
        yield f"weights/{name}", parameter
        for key, value in optimizer.state[parameter].items():
            yield f"{key}/{name}", value


def _local(tensor: Tensor) -> Tensor:
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach().contiguous()


def _joined(files: list[Any], key: str, like: Tensor, *, same: bool) -> Tensor:
    """The tensor `key` from the parts in `files`, sharded as the parameter `like` if it has its dimensions."""
    pieces = [file.get_tensor(key) for file in files]
    if not isinstance(like, DTensor) or pieces[0].ndim == 0:
        return (pieces[0] if same or pieces[0].ndim == 0 else torch.cat(pieces)).to(like.device)
    mesh, placements = like.device_mesh, like.placements
    if not same:
        return distribute_tensor(torch.cat(pieces).to(like.device), mesh, placements, src_data_rank=None)
    local = pieces[0].to(like.device)
    return DTensor.from_local(local, mesh, placements, shape=like.shape, stride=like.stride())


def _part(rank: int, world: int) -> str:
    return f"part-{rank:05d}-of-{world:05d}.safetensors"


def _delete_all_but(folder: Path, kept: Path) -> None:
    """Older checkpoints go in two steps, so that none is ever there in part."""
    for older in folder.glob(f"{PREFIX}*"):
        if older != kept:
            dying = older.with_name(f".{older.name}.older")
            with suppress(OSError):
                os.replace(older, dying)
    for dying in folder.glob(f".{PREFIX}*.older"):
        shutil.rmtree(dying, ignore_errors=True)
