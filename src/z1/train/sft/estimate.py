"""How much memory and how many operations will a fine-tuning take?

Arithmetic on the shape of the base, of which no weight is loaded. Memory is a sum of what the loop is known to hold, to
be read as "about"; operations count two for a multiplication and an addition, forwards once and backwards twice, and
once more forwards where activations are computed again instead of kept. Attention counts the half of its square that a
causal model needs. Source of the form: https://arxiv.org/abs/2001.08361, section 2.1.
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
from z1.recipe import FinetuneSettings

LOGITS = 2**28
"""Logits that exist at once; beside them stand their gradient and their softmax, all in float32."""

STATE = 16
"""Bytes of a weight that learns: itself, its gradient and two moments in float32."""

REACHED = 0.4
"""The usual share of a device's rate of matrix products that a training makes use of."""

ACCELERATORS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12}
"""Dense bfloat16 operations a second, by a part of the name that torch gives the device (its maker's data sheets)."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a model decides how much it takes; counts of weights, `embedding` one matrix of vocabulary x hidden."""

    parameters: int
    embedding: int
    trainable: int
    hidden: int
    feed_forward: int
    layers: int
    tied: bool


def shape(base: str, settings: FinetuneSettings) -> ModelShape:
    """The shape of the model in `base`, a folder or hub id. Raises UserError, in one line."""
    try:
        config = AutoConfig.from_pretrained(base)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).strip().partition("\n")[0]
        raise UserError(f"base {base}", why, "give a folder or hub id of a causal language model") from None
    text = config.get_text_config()
    linear = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "lm_head" not in name]
    low_rank = settings.lora_rank * sum(one.in_features + one.out_features for one in linear)
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


def memory(shape: ModelShape, settings: FinetuneSettings, world: int) -> dict[str, float]:
    """Bytes that each of `world` processes holds at once, by what they are; `host` stands in the host's memory."""
    number = 2 if settings.precision == "bf16" else 4
    states: float = STATE * shape.trainable / world
    ends = shape.embedding * (1 if shape.tied else 2)
    layer = (shape.parameters - ends) / shape.layers
    found = {"weights, gradients, moments": states}
    if settings.lora_rank:
        found["frozen weights"] = number * shape.parameters / world
    if settings.precision == "bf16":
        found["copies to compute with"] = 2 * (ends + 2 * layer)
    held = settings.micro_tokens * number
    inside = held * (10 * shape.hidden + 4 * shape.feed_forward)
    again = settings.gradient_checkpointing
    found["activations"] = held * shape.hidden * shape.layers + inside if again else inside * shape.layers
    found["logits"] = 3 * 4 * min(LOGITS, settings.micro_tokens * shape.embedding / shape.hidden)
    return found if not settings.offload else {**found, "weights, gradients, moments": 0.0, "host": states}


def operations(shape: ModelShape, settings: FinetuneSettings, sizes: NDArray[np.int64], learned: int) -> float:
    """Operations on rows of these `sizes`, of whose ids so many are learned."""
    ends = shape.embedding * (1 if shape.tied else 2)
    inside = 2 * (shape.parameters - ends) * float(sizes.sum())
    attended = 2 * shape.layers * shape.hidden * float((sizes.astype(np.float64) ** 2).sum())
    forward = inside + attended + 2 * shape.embedding * learned
    return forward * (4 if settings.gradient_checkpointing else 3)


def devices(settings: FinetuneSettings) -> dict[str, float]:
    """Operations a second that a process is expected to reach, by device: the one at hand, by its data sheet or a
    matrix product measured now, and where that is none to train on in bfloat16, accelerators that are.
    """
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        peak = next((most for part, most in ACCELERATORS.items() if part in name), None)
        return {name: REACHED * (peak or _measured(settings))}
    elsewhere = ACCELERATORS if settings.precision == "bf16" else {}
    known = {name: peak for name, peak in elsewhere.items() if name in ("A100", "H100")}
    return {name: REACHED * peak for name, peak in {"this CPU": _measured(settings), **known}.items()}


def _measured(settings: FinetuneSettings, size: int = 768) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    one = torch.ones(size, size, device=device, dtype=dtype)
    times = []
    for _ in range(4):
        begun = perf_counter()
        (one @ one)[0, 0].item()
        times.append(perf_counter() - begun)
    torch.set_num_threads(before)
    return 2 * size**3 / min(times)


def hours(total: float, world: int, reached: Mapping[str, float]) -> dict[str, float]:
    """Hours that `total` operations take `world` processes, by device."""
    return {name: total / (world * each) / 3600 for name, each in reached.items()}
