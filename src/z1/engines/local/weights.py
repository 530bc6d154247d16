"""Weights of the models that z1 trained, read without transformers' model classes.

To import those classes takes longer than to import torch, load z1-tiny and generate a reply. `read_weights` gives what
`decoder.py` uses of such a class, by the same names and with the same values; it leaves to transformers every folder
that z1 did not write, and every one whose weights are not exactly those that its configuration describes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from z1.engines.local.decoder import supports

REQUIRED = frozenset({"hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_parameters"})
"""Settings that are not in the shapes, and that transformers would set to a default."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in float32 on the CPU, with the attributes of a transformers model that the engine and `Decoder` use."""

    config: Any
    model: Any
    lm_head: Any
    device: torch.device
    dtype: torch.dtype
    size: int

    def num_parameters(self) -> int:
        """The number of parameters; an embedding that is also the head counts once."""
        return self.size

    def to(self, device: str) -> Weights:
        """These weights: they are read only where the device is the CPU."""
        return self


def read_weights(folder: Path) -> Weights | None:
    """The weights of a folder that z1 wrote; None for a model that transformers has to load."""
    if torch.cuda.is_available() or not (folder / "z1.json").is_file():
        return None
    try:
        config = SimpleNamespace(**json.loads((folder / "config.json").read_text("utf-8")))
        tensors = load_file(folder / "model.safetensors")
        if not _describes(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()}):
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError):
        return None  # transformers reads it, or says what is wrong
    root = _namespace({name: tensor.float() for name, tensor in tensors.items()})
    root.model.rotary_emb = partial(_rotary, config.rope_parameters["rope_theta"], _head_size(config))
    head = getattr(root, "lm_head", root.model.embed_tokens)
    size = sum(tensor.numel() for tensor in tensors.values())
    return Weights(config, root.model, head, torch.device("cpu"), torch.float32, size)


def _describes(config: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether z1's forward pass supports `config`, and `shapes` are all the tensors of such a model."""
    if not supports(config) or getattr(config, "sliding_window", None) or not vars(config).keys() >= REQUIRED:
        return False
    return config.rope_parameters["rope_type"] == "default" and shapes == _shapes(config)


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
