"""The weights of a GGUF file as safetensors, shard by shard.

A tensor is read, dequantized by the gguf library, and put into transformers' order and name. A shard that is complete
is not made again, so a conversion that was killed continues.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from z1.errors import UserError
from z1.model_files.cache import check_space
from z1.model_files.gguf_config import ARCHITECTURES
from z1.model_files.gguf_header import Gguf, GgufTensor
from z1.model_files.gguf_tensors import F32, HALF, read_tensor
from z1.runs import atomic_file, write_json

SHARD_BYTES = 1 << 30


def storage_dtype(gguf: Gguf, memory: int) -> torch.dtype:
    """The type to store the weights in: 16-bit files keep theirs, others get float32 if that takes half of `memory` or
    less, else bfloat16.
    """
    kinds = {tensor.kind for tensor in gguf.tensors.values()}
    for kind, dtype in HALF.items():
        if kind in kinds and kinds <= {F32, kind}:
            return dtype
    return torch.float32 if 8 * num_parameters(gguf) <= memory or kinds == {F32} else torch.bfloat16


def num_parameters(gguf: Gguf) -> int:
    """The number of values in all tensors."""
    return sum(tensor.elements for tensor in gguf.tensors.values())


def write_weights(gguf: Gguf, config: Any, folder: Path, dtype: torch.dtype) -> None:
    """Write the weights of `gguf` as a model of transformers' `config`; shards that are there are kept. Raises
    UserError.
    """
    pieces = list(_pieces(gguf, config))
    needed = num_parameters(gguf) * dtype.itemsize
    check_space(folder, needed - sum(path.stat().st_size for path in folder.glob("*.safetensors")), gguf.name)
    shards = _shards(pieces, dtype)
    index: dict[str, str] = {}
    done = 0
    for number, shard in enumerate(shards, 1):
        single = len(shards) == 1
        name = "model.safetensors" if single else f"model-{number:05}-of-{len(shards):05}.safetensors"
        index |= {piece: name for piece, *_ in shard}
        if not (folder / name).exists():
            tensors = {}
            for piece, tensor, expert in shard:
                tensors[piece] = _converted(gguf, tensor, expert, config).to(dtype).contiguous()
                done += tensors[piece].nbytes
                _show(done, needed)
            with atomic_file(folder / name) as path:
                save_file(tensors, path, metadata={"format": "pt"})
        else:
            done += (folder / name).stat().st_size
    if len(shards) > 1:
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": needed}, "weight_map": index})


def _pieces(gguf: Gguf, config: Any) -> Iterator[tuple[str, GgufTensor, int | None]]:
    """Each tensor of transformers' model: its name, the tensor of the file, and the expert in it, if it has several."""
    import gguf as library
    from transformers import AutoModelForCausalLM

    arch = next(key for key, name in library.MODEL_ARCH_NAMES.items() if name == gguf.architecture)
    names = library.get_tensor_name_map(arch, config.num_hidden_layers)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    for name in model.state_dict():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if ".mlp.experts." in name:
            yield from _expert_pieces(gguf, name)
            continue
        stem, _, ending = name.rpartition(".")
        found = gguf.tensors.get(f"{names.get_name(stem)}.{ending}")
        if found is None:
            got = f"no tensor for {name}"
            raise UserError(f"GGUF file {gguf.files[0]}", got, "give the model's folder in transformers' format")
        yield name, found, None


def _expert_pieces(gguf: Gguf, name: str) -> Iterator[tuple[str, GgufTensor, int | None]]:
    """The tensors of each expert: a file has those of all experts in one, a checkpoint one by one."""
    prefix, layer = name.partition(".mlp.experts.")[0], name.split(".")[2]
    parts = ("down",) if name.endswith("down_proj") else ("gate", "up")
    for part in parts:
        tensor = gguf.tensors[f"blk.{layer}.ffn_{part}_exps.weight"]
        for expert in range(tensor.shape[0]):
            yield f"{prefix}.mlp.experts.{expert}.{part}_proj.weight", tensor, expert


def _converted(gguf: Gguf, tensor: GgufTensor, expert: int | None, config: Any) -> Tensor:
    row, values = ARCHITECTURES[gguf.architecture], read_tensor(tensor)
    if expert is not None:
        values = values[expert]
    elif row.permutes_heads and (".attn_q." in tensor.name or ".attn_k." in tensor.name):
        heads = config.num_attention_heads if ".attn_q." in tensor.name else config.num_key_value_heads
        values = values.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(tensor.shape)
    elif row.norm_offset and "norm" in tensor.name:
        values = values - row.norm_offset
    return values


def _shards(
    pieces: list[tuple[str, GgufTensor, int | None]], dtype: torch.dtype
) -> list[list[tuple[str, GgufTensor, int | None]]]:
    shards: list[list[tuple[str, GgufTensor, int | None]]] = [[]]
    size = 0
    for piece in pieces:
        needed = piece[1].elements * dtype.itemsize // (1 if piece[2] is None else piece[1].shape[0])
        if size + needed > SHARD_BYTES and shards[-1]:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += needed
    return shards


def _show(done: int, needed: int) -> None:
    if sys.stderr.isatty():
        print(f"\r  {min(100, 100 * done // max(1, needed))} %", end="\r", file=sys.stderr, flush=True)
