"""What a model needs in memory, computed from its files before it is loaded.

Weights, and keys and values of each token, follow from the shapes. The rest (libraries, tensors of a step) is an
estimate. What is free is what the system can give without swapping, less where a control group allows less.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from z1.engines.local.weights import weight_files
from z1.errors import UserError

ITEM_SIZE = {"float32": 4, "bfloat16": 2, "float16": 2}

SPARE = 0.95
"""The share of free memory that is used at most."""

LIBRARIES = 520_000_000
"""Bytes of the interpreter with torch and transformers."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that a model needs: weights in `dtype`, keys and values of one context, and everything else."""

    dtype: str
    weights: int
    context: int
    other: int

    def total(self, contexts: int) -> int:
        """Bytes with `contexts` full contexts."""
        return self.weights + contexts * self.context + self.other


def memory_need(folder: Path, dtype: str, length: int, rows: int, contexts: int = 1) -> MemoryNeed:
    """The need of the model in `folder` with `contexts` of `length` tokens, computing `rows` tokens at once.

    With several contexts a head in float32 is in memory twice, see `Decoder`.
    """
    config = _config(folder)
    heads, size = int(config["num_attention_heads"]), ITEM_SIZE[dtype]
    head = int(config.get("head_dim") or config["hidden_size"] // heads)
    parameters = sum(_parameters(path) for path in weight_files(folder))
    token = 2 * int(config["num_hidden_layers"]) * int(config.get("num_key_value_heads") or heads) * head * size
    widest = max(2 * heads * length, 4 * int(config.get("intermediate_size") or 0))
    step = 4 * rows * widest + 8 * min(rows, 64) * int(config["vocab_size"])
    copy = int(config["vocab_size"]) * int(config["hidden_size"]) * size if contexts > 1 and dtype == "float32" else 0
    return MemoryNeed(dtype, parameters * size, length * token, LIBRARIES + step + copy)


def fit_contexts(need: MemoryNeed, asked: int, length: int, free: int) -> int:
    """The number of contexts, at most `asked`, that fit into `free` bytes. Raises UserError if not even one does."""
    fits = int((SPARE * free - need.weights - need.other) // need.context)
    if fits < 1:
        got = (
            f"{_gb(free)} free, and {_gb(need.total(1))} needed for {_gb(need.weights)} of weights in {need.dtype} "
            f"and one context of {length:,} tokens"
        )
        do = "use a smaller model" if need.dtype != "float32" else "use --dtype bfloat16, or a smaller model"
        raise UserError("memory", got, f"lower --max-model-len, {do}")
    return min(asked, fits)


def describe(need: MemoryNeed, contexts: int, asked: int, length: int, free: int) -> str:
    """One line about the memory that a model will take at most."""
    fewer = f" (not the {asked} asked for, which do not fit)" if contexts < asked else ""
    each = f"{contexts} contexts" if contexts > 1 else "1 context"
    return (
        f"memory: {_gb(need.weights)} of weights in {need.dtype}, {_gb(contexts * need.context)} for {each} of "
        f"{length:,} tokens{fewer}, {_gb(need.total(contexts))} in all at most; {_gb(free)} free"
    )


def free_memory() -> int:
    """Bytes that this process can allocate."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text("utf-8").splitlines())
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        files = [Path("/sys/fs/cgroup") / name for name in (limit, used)]
        if all(file.is_file() for file in files):
            values = [file.read_text("utf-8").strip() for file in files]
            if values[0].isdigit():
                found.append(max(0, int(values[0]) - int(values[1])))
    return min(found)


def context_length(folder: Path, asked: int) -> int:
    """The context that the engine will have: `asked`, or the model's own if that is shorter."""
    return min(asked, int(_config(folder).get("max_position_embeddings") or asked))


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return config | (config.get("text_config") or {})


def _parameters(path: Path) -> int:
    """The number of values in a safetensors file, whose header is JSON after its length."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
