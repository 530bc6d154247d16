"""Which weights does a model from scratch begin with?

A plain `Qwen2ForCausalLM`. Only its first layer's biases begin otherwise than usual: Qwen2 has biases on queries and
keys, and under rotary embeddings a score made of biases alone depends on distance alone, so head h can begin life
attending to the token h + 1 places back. A tiny model then need not find out what stands next to what; training may
change it again.
"""

from __future__ import annotations

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from z1.recipe import ModelSettings

SHARPNESS = 5.5
"""Size of the biases: more than 0.8 of a head's attention then falls on the wanted distance (measured, see LOG.md)."""


def build(settings: ModelSettings, vocabulary: int, seed: int, ends: tuple[int, int]) -> Qwen2ForCausalLM:
    """A model of `settings` whose weights are a function of `seed` alone; `ends` are its pad and end-of-sequence
    ids.
    """
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.key_value_heads,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        initializer_range=0.02,
        use_cache=True,
        pad_token_id=ends[0],
        eos_token_id=ends[1],
        bos_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    _look_back(model)
    return model


@torch.no_grad()
def _look_back(model: Qwen2ForCausalLM) -> None:
    attention = model.model.layers[0].self_attn
    heads, size = model.config.num_attention_heads, attention.head_dim
    distances = torch.arange(1, heads + 1, dtype=torch.float32)
    angles = distances[:, None] * model.model.rotary_emb.inv_freq[None, :]
    query = torch.cat([angles.cos(), -angles.sin()], dim=-1) * SHARPNESS
    key = torch.cat([torch.full((size // 2,), SHARPNESS), torch.zeros(size // 2)])
    attention.q_proj.bias.copy_(query.flatten())
    attention.k_proj.bias.copy_(key.repeat(attention.k_proj.bias.numel() // size))
