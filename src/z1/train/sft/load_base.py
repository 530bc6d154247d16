"""The base model of fine-tuning, optionally with LoRA, and its tokenizer.

Any causal language model that transformers loads, by hub id or folder; code from the hub is never run. Weights are
loaded in their stored type for training in bfloat16, in float32 otherwise. With a `lora_rank` only low-rank additions
to the linear layers are trained (LoRA, arXiv 2106.09685, by peft); the weights are frozen.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from z1.errors import UserError
from z1.model_files import find_model, load_tokenizer
from z1.prompts import chat_template
from z1.recipe import FinetuneSettings
from z1.train.sft.attention import ROWS


def load_base(base: str, settings: FinetuneSettings, seed: int) -> Any:
    """The model in `base`, ready for training; LoRA's initial weights are a function of `seed`."""
    dtype = "auto" if settings.precision == "bf16" else torch.float32
    model = load_model(base, dtype=dtype, **({"attn_implementation": ROWS} if settings.packing else {}))
    if settings.lora_rank:
        add_lora(model, settings, seed)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def load_model(base: str, **options: Any) -> Any:
    """The model in `base`. Raises UserError if there is none."""
    try:
        return AutoModelForCausalLM.from_pretrained(find_model(base), use_safetensors=True, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"base {base}", str(error), "give a folder or hub id of a causal language model") from error


def add_lora(model: Any, settings: FinetuneSettings, seed: int) -> Any:
    """Add LoRA to the linear layers of `model`; returns the wrapper that can merge it."""
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    rank, alpha = settings.lora_rank, settings.lora_alpha
    config = LoraConfig(TaskType.CAUSAL_LM, r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0)
    return get_peft_model(model, config)


def load_base_tokenizer(base: str) -> Any:
    """The tokenizer of a base; without a chat template it gets ChatML. Raises UserError if there is none."""
    try:
        tokenizer = load_tokenizer(base)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).strip().partition("\n")[0]
        raise UserError(f"tokenizer of base {base}", why, "give a folder or hub id of a language model") from None
    tokenizer.chat_template = chat_template(tokenizer)
    return tokenizer
