"""Which weights does a model from scratch begin with?

A plain `Qwen2ForCausalLM` that begins otherwise than usual in two places, both found to matter (LOG.md); training may
change them again.

Embeddings are five times as large. At the usual size a rare token is soon little more than what all of its kind have in
common: after 2.9M ids capital letters had a cosine of 0.95 to each other, and what depends on which letter it is was
not learned at all.

The first layer's heads know where to look. Qwen2 has biases on queries and keys, and under rotary embeddings a score
made of biases alone depends on distance alone, so head h can begin life attending to the token h + 1 places back. The
last one looks for the nearest token that begins a line: those have a direction in common, which its keys see.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from z1.recipe import ModelSettings

SHARPNESS = 5.5
"""Size of the biases: more than 0.8 of a head's attention then falls on the wanted distance (measured, see LOG.md)."""

EMBEDDING = 0.1
"""Standard deviation of the embeddings."""

COMMON, SEEN = 1.33, 1.29
"""Size of what the tokens that begin lines have in common, in embeddings; and how much of it keys see. More than 0.9 of
the attention then falls on the nearest line's beginning, where lines have 3 to 15 tokens.
"""

NEAR, FAR = 3, 14
"""Pairs of a head of 32 dimensions that say how near a line begins, from the first to before the second; those from the
second on turn too slowly to say anything of distance, and say whether one begins.
"""


def build(
    settings: ModelSettings, vocabulary: int, seed: int, ends: tuple[int, int], lines: Sequence[int] = ()
) -> Qwen2ForCausalLM:
    """A model of `settings` whose weights are a function of the arguments alone; `ends` are its pad and end-of-sequence
    ids, `lines` the ids that begin a line (none: the last head looks back as the others do).
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
    with torch.no_grad():
        model.model.embed_tokens.weight *= EMBEDDING / config.initializer_range
        _look_back(model)
        if lines:
            _look_for(model, lines)
    return model


def _look_back(model: Qwen2ForCausalLM) -> None:
    attention = model.model.layers[0].self_attn
    heads, size = model.config.num_attention_heads, attention.head_dim
    distances = torch.arange(1, heads + 1, dtype=torch.float32)
    angles = distances[:, None] * model.model.rotary_emb.inv_freq[None, :]
    query = torch.cat([angles.cos(), -angles.sin()], dim=-1) * SHARPNESS
    key = torch.cat([torch.full((size // 2,), SHARPNESS), torch.zeros(size // 2)])
    attention.q_proj.bias.copy_(query.flatten())
    attention.k_proj.bias.copy_(key.repeat(attention.k_proj.bias.numel() // size))


def _look_for(model: Qwen2ForCausalLM, lines: Sequence[int]) -> None:
    """Give `lines` a direction in common, and the last head of the first layer to the nearest of them."""
    attention, config = model.model.layers[0].self_attn, model.config
    embeddings = model.model.embed_tokens.weight
    direction = torch.randn(config.hidden_size)
    direction /= direction.norm()
    embeddings[list(lines)] += COMMON * embeddings.norm(dim=1).mean() * direction
    half, sharing = attention.head_dim // 2, config.num_attention_heads // config.num_key_value_heads
    query = attention.q_proj.bias.view(-1, 2, half)
    query[-sharing:, :, FAR * half // 16 :] = 0.0  # those that share its keys do not hear of lines
    query[-1] = 0.0
    query[-1, 0, NEAR * half // 16 :] = SHARPNESS
    key = attention.k_proj.weight.view(-1, 2, half, config.hidden_size)
    key[-1, 0, FAR * half // 16 :] = SEEN * direction
