"""Writes GGUF files as llama.cpp's convert_hf_to_gguf.py does, from small random models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.model_files.byte_level import VOCABULARY, make_tokenizer

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")

SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 256,
    "rope_parameters": {"rope_type": "default", "rope_theta": 50_000.0},
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

MODELS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2", "head_dim": 16, "tie_word_embeddings": False},
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": False},
    "qwen3moe": {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "moe_intermediate_size": 48,
    },
    "phi3": {"model_type": "phi3", "head_dim": 16},
    "gemma2": {"model_type": "gemma2", "sliding_window": 32, "query_pre_attn_scalar": 32},
    "gemma3": {
        "model_type": "gemma3_text",
        "num_hidden_layers": 6,
        "sliding_window": 32,
        "query_pre_attn_scalar": 32,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 50_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    },
}
"""By ggml's name of the architecture; heads have 32 values, so rows are whole blocks of Q8_0."""


def make_model(architecture: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**SHAPE | MODELS[architecture]))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, 0.2 if "norm" in name else 0.0, 0.1)
    return model.eval()


def write_gguf(path: Path, architecture: str, model: Any, kind: str = "F32", **options: Any) -> Path:
    """Write `model` with its matrices as `kind`; options: `metadata`, `tokenizer` and the name `pre` of its
    pre-tokenizer.
    """
    writer = gguf.GGUFWriter(path, architecture)
    add_config(writer, architecture, model.config, options.get("metadata", {}))
    add_tokenizer(writer, options.get("tokenizer") or make_tokenizer(), options.get("pre", "smollm"))
    names = gguf.get_tensor_name_map(
        next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture),
        model.config.num_hidden_layers,
    )
    for name, values in tensors(model, architecture):
        stem, _, ending = name.rpartition(".")
        target = f"{names.get_name(stem)}.{ending}"
        quantization = gguf.GGMLQuantizationType[kind if values.ndim > 1 else "F32"]
        writer.add_tensor(target, gguf.quantize(values, quantization), raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensors(model: Any, architecture: str) -> list[tuple[str, np.ndarray]]:
    """The tensors as the conversion writes them: rotary pairs adjacent (llama), one added to norms (gemma), the experts
    of a layer in one (moe).
    """
    found = []
    for name, parameter in model.state_dict().items():
        values = parameter.float()
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = model.config.num_attention_heads if "q_proj" in name else model.config.num_key_value_heads
            values = values.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(values.shape)
        if architecture.startswith("gemma") and "norm" in name:
            values = values + 1
        if name.endswith("experts.gate_up_proj"):
            for part, half in zip(("gate", "up"), values.chunk(2, dim=1), strict=True):
                found.append((f"{name.removesuffix('gate_up_proj')}{part}_proj.weight", half.contiguous().numpy()))
            continue
        found.append((f"{name}.weight" if name.endswith("experts.down_proj") else name, values.numpy()))
    return found


def add_config(writer: Any, architecture: str, config: Any, metadata: dict[str, Any]) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if architecture == "llama":
        writer.add_rope_dimension_count(config.head_dim)
    if architecture in ("qwen3", "qwen3moe", "gemma2", "gemma3"):
        writer.add_key_length(config.head_dim)
    if architecture == "qwen3moe":
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    for key, value in metadata.items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_string
        add(key, value)


def add_tokenizer(writer: Any, tokenizer: PreTrainedTokenizerFast, pre: str) -> None:
    """A byte-level tokenizer; its added tokens are control tokens or user-defined."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {token["content"]: token for token in state["added_tokens"]}
    tokens, kinds = [], []
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    for number in range(VOCABULARY):
        token = names.get(number, f"[PAD{number}]")
        tokens.append(token)
        kinds.append(5 if number not in names else 1 if token not in added else 3 if added[token]["special"] else 4)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id or 0)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_add_bos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
