"""The configuration of a GGUF model, in transformers' terms.

Keys of the metadata are those of gguf-py's `constants.py`. What the file does not say is transformers' default for the
model type, except where llama.cpp's conversion leaves out what transformers needs (rotary scaling of Llama 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from z1.errors import UserError
from z1.model_files.gguf_header import Gguf
from z1.model_files.gguf_tokenizer import turn_ends

_SHAPE = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}
"""Keys below the architecture's name, and transformers' names."""


class Architecture(NamedTuple):
    """A row: transformers' model type, how tensors differ from transformers', and settings that files leave out."""

    model_type: str
    permutes_heads: bool = False
    """Queries and keys are stored with adjacent rotary pairs."""
    norm_offset: float = 0.0
    """What is added to the weights of norms in the file."""
    defaults: Mapping[str, Any] = {}


ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture("llama", permutes_heads=True),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "qwen3moe": Architecture("qwen3_moe", defaults={"norm_topk_prob": True}),
    "phi3": Architecture("phi3"),
    "gemma2": Architecture("gemma2", norm_offset=1.0),
    "gemma3": Architecture("gemma3_text", norm_offset=1.0),
}
"""By ggml's name."""

_WIDE_SCALES = {("gemma2", 46), ("gemma3", 62)}
"""Gemma's models of 27B scale queries by the width per head, others by the size of a head (llama.cpp, gemma*.cpp)."""

_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def make_config(gguf: Gguf) -> dict[str, Any]:
    """The settings of transformers' configuration of `gguf`. Raises UserError for what z1 cannot convert."""
    where = f"GGUF file {gguf.files[0]}"
    row = ARCHITECTURES.get(gguf.architecture)
    if row is None:
        do = f"give the model's folder in transformers' format; converted are {', '.join(ARCHITECTURES)}"
        raise UserError(where, f"architecture {gguf.architecture}", do)
    values = {key: gguf.metadata.get(f"{gguf.architecture}.{key}") for key in _SHAPE}
    config: dict[str, Any] = dict(row.defaults) | {_SHAPE[key]: v for key, v in values.items() if v is not None}
    size = gguf.metadata.get(f"{gguf.architecture}.rope.dimension_count")
    if size is not None and "head_dim" not in config and gguf.architecture == "llama":
        config["head_dim"] = size
    if gguf.architecture.startswith("gemma"):
        wide = (gguf.architecture, config["num_hidden_layers"]) in _WIDE_SCALES
        width = config["hidden_size"] // config["num_attention_heads"]
        config["query_pre_attn_scalar"] = width if wide else config["head_dim"]
    ends = turn_ends(gguf)
    return config | {
        "model_type": row.model_type,
        "vocab_size": gguf.tensors["token_embd.weight"].shape[0] if gguf.tensors else None,
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "bos_token_id": gguf.metadata.get("tokenizer.ggml.bos_token_id"),
        "pad_token_id": gguf.metadata.get("tokenizer.ggml.padding_token_id"),
        "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
        **_rotary(gguf, where),
    }


def _rotary(gguf: Gguf, where: str) -> dict[str, Any]:
    """The base and scaling of the rotary embedding. Raises UserError for a kind that is not known."""
    prefix = f"{gguf.architecture}.rope"
    base = float(gguf.metadata.get(f"{prefix}.freq_base", 10_000.0))
    kind = gguf.metadata.get(f"{prefix}.scaling.type", "none")
    factor = gguf.metadata.get(f"{prefix}.scaling.factor")
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": base}
    if any(name.startswith("rope_factors") for name in gguf.tensors) or kind == "longrope":
        do = "give the model's folder in transformers' format"
        raise UserError(where, "rotary factors for long contexts (longrope)", do)
    if "rope_freqs.weight" in gguf.tensors:
        rope |= _LLAMA3 | {"rope_type": "llama3", "factor": _llama3_factor(gguf, base, where)}
    elif kind in ("linear", "yarn") and factor:
        rope |= {"rope_type": kind, "factor": float(factor)}
        if kind == "yarn":
            length = gguf.metadata.get(f"{prefix}.scaling.original_context_length")
            rope["original_max_position_embeddings"] = length
    elif kind not in ("none", "linear", "yarn"):
        raise UserError(where, f"rotary scaling {kind}", "give the model's folder in transformers' format")
    if gguf.architecture == "gemma3":
        local = float(gguf.metadata.get(f"{prefix}.freq_base_swa", 10_000.0))
        local_rope = {"rope_type": "default", "rope_theta": local}
        return {"rope_parameters": {"full_attention": rope, "sliding_attention": local_rope}}
    return {"rope_parameters": rope}


def _llama3_factor(gguf: Gguf, base: float, where: str) -> float:
    """The factor of Llama 3's scaling, of which the file has only the result: one divisor per frequency."""
    import torch  # a header without such a tensor needs none of these
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from z1.model_files.gguf_tensors import read_tensor

    divisors = read_tensor(gguf.tensors["rope_freqs.weight"])
    factor = float(divisors.max())
    rope = _LLAMA3 | {"rope_type": "llama3", "rope_theta": base, "factor": factor}
    config = LlamaConfig(head_dim=2 * len(divisors), rope_parameters=rope)
    scaled = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))[0]
    plain = 1.0 / base ** (torch.arange(0, 2 * len(divisors), 2).float() / (2 * len(divisors)))
    if not torch.allclose(plain / scaled, divisors, rtol=1e-3):
        raise UserError(where, "an unknown rotary scaling", "give the model's folder in transformers' format")
    return factor
