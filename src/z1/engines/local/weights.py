"""Weights of Qwen2, Qwen3 and Llama, read without transformers' model classes, one layer at a time.

To import those classes takes longer than to import torch, load z1-tiny and generate a reply, and they hold all weights
while `decoder.py` makes its own copies: twice the memory. `read_weights` gives what `decoder.py` uses of such a class,
by the same names and with the same values. It leaves to transformers every folder whose weights are not exactly those
that its configuration describes, and rotary embeddings that depend on more than a base.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from z1.engines.local.decoder import supports
from z1.engines.local.transformers_decoder import FULL, layer_kinds

REQUIRED = frozenset({"hidden_act", "max_position_embeddings", "rms_norm_eps"})
"""Settings that are not in the shapes, and that transformers would set to a default."""

OTHER = frozenset({"quantization_config", "partial_rotary_factor", "rope_scaling", "text_config"})
"""Settings of models that transformers has to load."""


class Weights:
    """A model on the CPU, with the attributes of a transformers model that the engine and `Decoder` use."""

    device = torch.device("cpu")

    def __init__(self, config: Any, files: Mapping[str, Path], dtype: torch.dtype, size: int) -> None:
        self.config, self.dtype, self._files, self._size = config, dtype, files, size
        self.model = SimpleNamespace(
            embed_tokens=self._read("model.embed_tokens."),
            norm=self._read("model.norm."),
            layers=_Layers(self, config.num_hidden_layers),
            rotary_emb=partial(_rotary, config.rope_parameters["rope_theta"], _head_size(config)),
        )

    @property
    def lm_head(self) -> Any:
        """The head, read each time; of a model with one matrix for both, the embedding."""
        return self._read("lm_head.") if "lm_head.weight" in self._files else self.model.embed_tokens

    def layer(self, number: int) -> Any:
        """One layer, read each time."""
        return self._read(f"model.layers.{number}.")

    def num_parameters(self) -> int:
        """The number of parameters; an embedding that is also the head counts once."""
        return self._size

    def to(self, device: str) -> Weights:
        """These weights: they are read only where the device is the CPU."""
        return self

    def _read(self, prefix: str) -> Any:
        """The tensors whose names begin with `prefix`; the files are mapped only while they are copied."""
        found: dict[str, Tensor] = {}
        for path in {path for name, path in self._files.items() if name.startswith(prefix)}:
            with safe_open(path, framework="pt") as file:
                for name in self._files:
                    if name.startswith(prefix) and self._files[name] == path:
                        found[name.removeprefix(prefix)] = file.get_tensor(name).to(self.dtype, copy=True)
        return _namespace(found)


class _Layers:
    """The layers of a model, each read when it is reached."""

    def __init__(self, weights: Weights, count: int) -> None:
        self._weights, self._count = weights, count

    def __iter__(self) -> Iterator[Any]:
        return map(self._weights.layer, range(self._count))


def read_weights(folder: Path, dtype: torch.dtype = torch.float32) -> Weights | None:
    """The weights of a folder, in `dtype`; None for a model that transformers has to load."""
    if torch.cuda.is_available():
        return None
    try:
        config = _config(folder)
        shapes: dict[str, tuple[int, ...]] = {}
        files: dict[str, Path] = {}
        for path in weight_files(folder):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118
                    shapes[name], files[name] = tuple(file.get_slice(name).get_shape()), path
        if not _describes(config, shapes):
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError):
        return None  # transformers reads it, or says what is wrong
    return Weights(config, files, dtype, sum(map(prod, shapes.values())))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder that transformers would load."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file() or not index.is_file():
        return [single]
    return sorted({folder / name for name in json.loads(index.read_text("utf-8"))["weight_map"].values()})


def _config(folder: Path) -> Any:
    """`config.json`, with what older versions of transformers wrote otherwise."""
    values = json.loads((folder / "config.json").read_text("utf-8"))
    if "rope_parameters" not in values and "rope_theta" in values:
        values["rope_parameters"] = {"rope_type": "default", "rope_theta": float(values["rope_theta"])}
    settings = {"tie_word_embeddings": False, "num_key_value_heads": values.get("num_attention_heads")} | values
    return SimpleNamespace(**settings)


def _describes(config: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether z1's forward pass supports `config`, and `shapes` are all the tensors of such a model."""
    if not supports(config) or layer_kinds(config) != {FULL} or not vars(config).keys() >= REQUIRED:
        return False
    if any(getattr(config, name, None) for name in OTHER) or config.rope_parameters["rope_type"] != "default":
        return False
    return shapes == _shapes(config) and config.rope_parameters.get("partial_rotary_factor", 1.0) == 1.0


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """The tensors of a model of this configuration, and their shapes."""
    width, inner, head = config.hidden_size, config.intermediate_size, _head_size(config)
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (width,),
        "self_attn.q_proj.weight": (queries, width),
        "self_attn.k_proj.weight": (keys, width),
        "self_attn.v_proj.weight": (keys, width),
        "self_attn.o_proj.weight": (width, queries),
        "post_attention_layernorm.weight": (width,),
        "mlp.gate_proj.weight": (inner, width),
        "mlp.up_proj.weight": (inner, width),
        "mlp.down_proj.weight": (width, inner),
    }
    if config.model_type == "qwen2":
        layer |= {
            f"self_attn.{part}_proj.bias": (size,) for part, size in zip("qkv", (queries, keys, keys), strict=True)
        }
    if config.model_type == "qwen3":
        layer |= {"self_attn.q_norm.weight": (head,), "self_attn.k_norm.weight": (head,)}
    shapes = {f"model.layers.{i}.{name}": s for i in range(config.num_hidden_layers) for name, s in layer.items()}
    shapes |= {"model.embed_tokens.weight": (config.vocab_size, width), "model.norm.weight": (width,)}
    return shapes if config.tie_word_embeddings else shapes | {"lm_head.weight": (config.vocab_size, width)}


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _rotary(base: float, size: int, like: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [1, length, D] of `positions` [1, length], in transformers' order of operations."""
    frequencies = 1.0 / (base ** (torch.arange(0, size, 2, dtype=torch.float) / size))
    angles = positions[..., None].float() * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def _namespace(tensors: Mapping[str, Tensor]) -> Any:
    """Tensors as attributes: `layers.0.mlp.up_proj.weight` is `layers[0].mlp.up_proj.weight`. No bias is None."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        parts.setdefault(first, {})[rest] = tensor
    children = {name: part[""] if "" in part else _namespace(part) for name, part in parts.items()}
    if "0" in children:
        return [children[str(i)] for i in range(len(children))]
    return SimpleNamespace(**{"bias": None} | children)
