"""A model as a plain folder of safetensors: an adapter merged with its base, a GGUF file converted, or a copy.

The weights are those that z1's engines load (`find_model`). A precision rounds all of them; without one they keep the
type that they have there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from z1.errors import UserError
from z1.model_files.cache import SOURCE
from z1.model_files.find import find_model
from z1.runs import atomic_folder, disk_full_as_os_error, write_json

DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}
"""The precisions in which weights are stored, by name."""

_KEPT = (".json", ".jinja", ".model", ".txt")
"""Endings of the files beside the weights."""


def write_folder(model: str, folder: Path, precision: str | None = None) -> int:
    """Write what `find_model` finds for `model` to a new `folder`; returns the bytes of weights. Raises UserError."""
    if folder.exists():
        raise UserError("folder to export to", f"{folder}, which exists", "give a new folder")
    if precision not in (None, *DTYPES):
        raise UserError("--precision", precision, f"give {' or '.join(DTYPES)}")
    source = find_model(model)
    own = Path(model) / "z1.json"  # an adapter's, which its merged folder lacks
    kept = [file for file in source.iterdir() if file.suffix in _KEPT and file.name != SOURCE]
    with atomic_folder(folder) as temporary, disk_full_as_os_error(folder):
        for file in [*kept, *([own] if own.is_file() else [])]:
            shutil.copyfile(file, temporary / file.name)
        shards = sorted(source.glob("*.safetensors"))
        if precision:
            _write_rounded(shards, temporary, DTYPES[precision])
        else:
            for file in shards:
                shutil.copyfile(file, temporary / file.name)
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _write_rounded(shards: Sequence[Path], folder: Path, dtype: torch.dtype) -> None:
    """Write the weights in `dtype`, one file at a time, and say so in configuration and index."""
    size = 0
    for file in shards:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            metadata = opened.metadata()
        rounded = {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}
        save_file(rounded, folder / file.name, metadata)
        size += sum(one.nbytes for one in rounded.values())
    _change(folder / "config.json", "torch_dtype", "dtype", str(dtype).removeprefix("torch."))
    _change(folder / "model.safetensors.index.json", "metadata", "metadata", {"total_size": size})


def _change(file: Path, old: str, key: str, value: object) -> None:
    """Replace the entries `old` and `key` of the JSON `file`, if there is one."""
    if file.is_file():
        entries = json.loads(file.read_text("utf-8"))
        write_json(file, {**{name: one for name, one in entries.items() if name != old}, key: value})
