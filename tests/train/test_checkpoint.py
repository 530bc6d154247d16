"""Checkpoints are atomic, one always exists, and any number of processes can restore them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from z1.errors import UserError
from z1.runs import write_json
from z1.train import checkpoint
from z1.train.checkpoint import latest, restore, save, trainable
from z1.train.distributed import DistributedContext

ALONE = DistributedContext(0, 1, torch.device("cpu"))


def trained(steps: int, seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))
    model[1].weight.requires_grad = False
    optimizer = torch.optim.AdamW([p for _, p in trainable(model)], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
    return model, optimizer


def keep(folder: Path, step: int) -> nn.Module:
    model, optimizer = trained(step)
    save(folder, {"step": step}, trainable(model), optimizer, ALONE)
    return model


def test_a_restored_training_continues_to_the_same_bits(tmp_path: Path) -> None:
    keep(tmp_path, 3)
    model, optimizer = trained(0)
    facts = restore(tmp_path, trainable(model), optimizer, ALONE)
    assert facts == {"step": 3}
    optimizer.zero_grad()
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    expected, _ = trained(4)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), expected.parameters(), strict=True))


def test_only_trainable_parameters_are_saved(tmp_path: Path) -> None:
    model, _ = trained(1)
    assert [name for name, _ in trainable(model)] == ["0.weight", "0.bias", "1.bias"]


def test_without_a_checkpoint_nothing_is_restored(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    assert restore(tmp_path, trainable(model), optimizer, ALONE) == {}
    assert latest(tmp_path) is None


def test_the_previous_checkpoint_is_deleted_after_the_next_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, 9)
    keep(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000010"]

    def torn(_tensors: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", torn)
    with pytest.raises(OSError, match="No space left"):
        keep(tmp_path, 11)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000010"]


def test_partial_folders_left_by_a_kill_are_not_checkpoints(tmp_path: Path) -> None:
    keep(tmp_path, 2)
    (tmp_path / ".checkpoint-half").mkdir()
    (tmp_path / ".checkpoint-00000001.older").mkdir()
    assert latest(tmp_path) == tmp_path / "checkpoint-00000002"
    keep(tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000003"]


def test_parts_of_another_number_of_processes_are_merged(tmp_path: Path) -> None:
    model, optimizer = trained(2)
    whole = {name: tensor.detach() for name, tensor in checkpoint._named_tensors(trainable(model), optimizer)}
    made = tmp_path / "checkpoint-00000002"
    made.mkdir()
    for rank in range(3):
        parts = {name: tensor.chunk(3)[rank : rank + 1] if tensor.ndim else (tensor,) for name, tensor in whole.items()}
        empty = {name: parts[name][0] if parts[name] else whole[name][:0] for name in parts}
        save_file({name: tensor.contiguous() for name, tensor in empty.items()}, made / checkpoint._part_name(rank, 3))
    write_json(made / "state.json", {"processes": 3, "facts": {"step": 2}})
    other, its_optimizer = trained(0, seed=1)
    restore(tmp_path, trainable(other), its_optimizer, ALONE)
    again = dict(checkpoint._named_tensors(trainable(other), its_optimizer))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a part cut": lambda folder: cut(next(folder.glob("part-*"))),
    "a part empty": lambda folder: next(folder.glob("part-*")).write_bytes(b""),
    "a part absent": lambda folder: next(folder.glob("part-*")).unlink(),
    "a part of other tensors": lambda folder: save_file({"a": torch.ones(2)}, next(folder.glob("part-*"))),
    "state cut": lambda folder: cut(folder / "state.json"),
    "state absent": lambda folder: (folder / "state.json").unlink(),
    "state a list": lambda folder: (folder / "state.json").write_text("[]"),
    "facts a list": lambda folder: (folder / "state.json").write_text('{"processes": 1, "facts": []}'),
    "step a text": lambda folder: (folder / "state.json").write_text('{"processes": 1, "facts": {"step": "x"}}'),
    "processes a text": lambda folder: (folder / "state.json").write_text('{"processes": "1", "facts": {"step": 3}}'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_cut_or_mistyped_checkpoint_is_named_in_a_line(name: str, tmp_path: Path) -> None:
    keep(tmp_path, 3)
    found = latest(tmp_path)
    assert found is not None
    DAMAGE[name](found)
    model, optimizer = trained(0)
    with pytest.raises(UserError, match="checkpoint-00000003") as caught:
        restore(tmp_path, trainable(model), optimizer, ALONE)
    assert "\n" not in str(caught.value)
