"""With which weights does fine-tuning begin?

With those of any causal language model that transformers loads, by hub id or folder; code of the hub is never run.
Loaded as they lie on the disk where they will be computed with in bfloat16, in float32 otherwise. With a `lora_rank`
only low-rank additions to the linear layers learn (LoRA, arXiv 2106.09685, by peft) and the weights stay as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.sft.attention import ROWS


def model_of(base: str, settings: FinetuneSettings, seed: int) -> Any:
    """The model in `base`, ready to learn; LoRA's first weights are a function of `seed`."""
    dtype = "auto" if settings.precision == "bf16" else torch.float32
    model = loaded(base, dtype=dtype, **({"attn_implementation": ROWS} if settings.packing else {}))
    if settings.lora_rank:
        with_lora(model, settings, seed)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def loaded(base: str, **told: Any) -> Any:
    """The model in `base`, refused in one line where there is none."""
    try:
        return AutoModelForCausalLM.from_pretrained(base, use_safetensors=True, **told)
    except (OSError, ValueError) as error:
        raise UserError(f"base {base}", str(error), "give a folder or hub id of a causal language model") from error


def with_lora(model: Any, settings: FinetuneSettings, seed: int) -> Any:
    """`model` with LoRA put into its linear layers; the wrapper that can merge it back."""
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    rank, alpha = settings.lora_rank, settings.lora_alpha
    config = LoraConfig(TaskType.CAUSAL_LM, r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0)
    return get_peft_model(model, config)
