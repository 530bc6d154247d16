"""Estimate of the memory and FLOPs of a fine-tuning run.

Computed from the shape of the base; no weights are loaded. Memory is an approximate sum of the tensors that the loop
holds. A multiplication and an addition are two FLOPs; the forward pass counts once, the backward pass twice (once for
weights that LoRA freezes), and the recomputation of activations by gradient checkpointing once more. Attention counts
the half of its square that a causal model computes. Source: https://arxiv.org/abs/2001.08361, section 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM

from z1.errors import UserError
from z1.model_files import find_model
from z1.recipe import FinetuneSettings
from z1.train.distributed import casts_weights
from z1.train.sft.loss import LOGITS

STATE = 16
"""Bytes per trainable parameter: weight, gradient and two moments in float32."""

LIBRARIES = 500_000_000
"""Bytes of a process on a CPU without a model: Python, torch, transformers."""

UTILIZATION = 0.4
"""The usual share of a device's matrix rate that training reaches."""

ACCELERATORS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12}
"""Dense bfloat16 FLOPs per second (NVIDIA's data sheets), by a part of torch's device name."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a model: counts of `parameters` (all, `trainable`, one `embedding` matrix), widths and layers."""

    parameters: int
    embedding: int
    trainable: int
    hidden: int
    feed_forward: int
    layers: int
    tied: bool


def shape(base: str, settings: FinetuneSettings) -> ModelShape:
    """The shape of the model in `base`, a folder or hub id. Raises UserError if there is none."""
    try:
        config = AutoConfig.from_pretrained(find_model(base, weights=False))
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).strip().partition("\n")[0]
        raise UserError(f"base {base}", why, "give a folder or hub id of a causal language model") from None
    text = config.get_text_config()
    linear = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "lm_head" not in name]
    low_rank = settings.lora_rank * sum(layer.in_features + layer.out_features for layer in linear)
    weights = sum(parameter.numel() for parameter in model.parameters())
    return ModelShape(
        weights,
        text.vocab_size * text.hidden_size,
        low_rank if settings.lora_rank else weights,
        text.hidden_size,
        text.intermediate_size,
        text.num_hidden_layers,
        bool(text.tie_word_embeddings),
    )


def memory(shape: ModelShape, settings: FinetuneSettings, world_size: int) -> dict[str, float]:
    """Bytes per process of `world_size`, by purpose; `host` is in the host's memory."""
    width = 2 if settings.precision == "bf16" else 4
    states: float = STATE * shape.trainable / world_size
    vocabulary_weights = shape.embedding * (1 if shape.tied else 2)
    layer = (shape.parameters - vocabulary_weights) / shape.layers
    sizes = {"weights, gradients, moments": states}
    if settings.lora_rank:
        sizes["frozen weights"] = width * shape.parameters / world_size
    logits = settings.micro_tokens * shape.embedding / shape.hidden
    if settings.precision == "bf16":
        recomputes = settings.gradient_checkpointing or logits > LOGITS
        is_whole = casts_weights(world_size, offload=settings.offload, recomputes=recomputes)
        sizes["bf16 copies"] = 2 * (shape.parameters if is_whole else vocabulary_weights + 2 * layer)
    per_width = settings.micro_tokens * width
    layer_activations = per_width * (10 * shape.hidden + 4 * shape.feed_forward)
    recomputed = per_width * shape.hidden * shape.layers + layer_activations
    sizes["activations"] = recomputed if settings.gradient_checkpointing else layer_activations * shape.layers
    sizes["logits"] = 3 * 4 * min(LOGITS, logits)  # with their gradient and softmax, in float32
    return sizes if not settings.offload else {**sizes, "weights, gradients, moments": 0.0, "host": states}


def flops(shape: ModelShape, settings: FinetuneSettings, lengths: NDArray[np.int64], learned: int) -> float:
    """FLOPs of training on rows of these `lengths` with `learned` learned tokens in all."""
    vocabulary_weights = shape.embedding * (1 if shape.tied else 2)
    linear = 2 * (shape.parameters - vocabulary_weights) * float(lengths.sum())
    attention = 2 * shape.layers * shape.hidden * float((lengths.astype(np.float64) ** 2).sum())
    products = linear + 2 * shape.embedding * learned
    again = int(settings.gradient_checkpointing)
    return products * ((2 if settings.lora_rank else 3) + again) + attention * (3 + again)


def device_rates(settings: FinetuneSettings) -> dict[str, float]:
    """Expected FLOPs per second of a process, by device: the accelerator of this machine, by its data sheet or a
    measured matrix product; without one this CPU, and for bfloat16 also common accelerators.
    """
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        peak = next((rate for part, rate in ACCELERATORS.items() if part in name), None)
        return {name: UTILIZATION * (peak or _measured(settings))}
    others = ("A100", "H100") if settings.precision == "bf16" else ()
    known = {name: ACCELERATORS[name] for name in others}
    return {name: UTILIZATION * peak for name, peak in {"this CPU": _measured(settings), **known}.items()}


def _measured(settings: FinetuneSettings, size: int = 768) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    matrix = torch.ones(size, size, device=device, dtype=dtype)
    times = []
    for _ in range(4):
        start = perf_counter()
        (matrix @ matrix)[0, 0].item()
        times.append(perf_counter() - start)
    torch.set_num_threads(before)
    return 2 * size**3 / min(times)


def hours(total: float, world_size: int, rates: Mapping[str, float]) -> dict[str, float]:
    """Hours that `total` FLOPs take on `world_size` processes, by device."""
    return {name: total / (world_size * rate) / 3600 for name, rate in rates.items()}
