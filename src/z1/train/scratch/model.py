"""Initial weights of a model from scratch.

A plain `Qwen2ForCausalLM` with two changes of the usual initialization, both measured to matter (LOG.md); training may
change these weights.

Embeddings are five times as large. At the usual size the embeddings of rare tokens converge to their common part:
after 2.9M tokens capital letters had a cosine of 0.95 to each other, and nothing that depends on the individual letter
was learned.

Heads of the first layer attend to fixed positions. Qwen2 has biases on queries and keys, and with rotary embeddings a
score from biases only depends on distance only, so head h initially attends to the token h + 1 positions back. The last
head attends to the nearest token that begins a line: those tokens share a direction, which its keys detect.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from z1.recipe import ModelSettings

SHARPNESS = 5.5
"""Size of the biases: more than 0.8 of a head's attention then falls on its distance (measured, see LOG.md)."""

EMBEDDING = 0.1
"""Standard deviation of the embeddings."""

LINE_EMBEDDING, LINE_KEY = 1.33, 1.29
"""Size of the direction that tokens at the beginning of a line share, in embeddings and in keys. More than 0.9 of the
attention then falls on the nearest beginning of a line, for lines of 3 to 15 tokens.
"""

NEAR, FAR = 3, 14
"""Rotary pairs of a head of 32 dimensions: those from NEAR to before FAR encode the distance to the beginning of a
line; those from FAR on rotate too slowly to encode distance, and encode whether a token begins a line.
"""


def build(
    settings: ModelSettings, vocabulary: int, seed: int, special: tuple[int, int], lines: Sequence[int] = ()
) -> Qwen2ForCausalLM:
    """A model of `settings` whose weights are a function of the arguments; `special` are its pad and end-of-sequence
    tokens, `lines` the tokens that begin a line (without them the last head attends back as the others do).
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
        pad_token_id=special[0],
        eos_token_id=special[1],
        bos_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight *= EMBEDDING / config.initializer_range
        _attend_back(model)
        if lines:
            _attend_to_lines(model, lines)
    return model


def _attend_back(model: Qwen2ForCausalLM) -> None:
    """Let head h of the first layer attend h + 1 positions back."""
    attention = model.model.layers[0].self_attn
    heads, size = model.config.num_attention_heads, attention.head_dim
    distances = torch.arange(1, heads + 1, dtype=torch.float32)
    angles = distances[:, None] * model.model.rotary_emb.inv_freq[None, :]
    query = torch.cat([angles.cos(), -angles.sin()], dim=-1) * SHARPNESS
    key = torch.cat([torch.full((size // 2,), SHARPNESS), torch.zeros(size // 2)])
    attention.q_proj.bias.copy_(query.flatten())
    attention.k_proj.bias.copy_(key.repeat(attention.k_proj.bias.numel() // size))


def _attend_to_lines(model: Qwen2ForCausalLM, lines: Sequence[int]) -> None:
    """Give `lines` a common direction, and let the last head of the first layer attend to the nearest of them."""
    attention, config = model.model.layers[0].self_attn, model.config
    embeddings = model.model.embed_tokens.weight
    direction = torch.randn(config.hidden_size)
    direction /= direction.norm()
    embeddings[list(lines)] += LINE_EMBEDDING * embeddings.norm(dim=1).mean() * direction
    half, group = attention.head_dim // 2, config.num_attention_heads // config.num_key_value_heads
    query = attention.q_proj.bias.view(-1, 2, half)
    query[-group:, :, FAR * half // 16 :] = 0.0  # heads that share its keys ignore lines
    query[-1] = 0.0
    query[-1, 0, NEAR * half // 16 :] = SHARPNESS
    key = attention.k_proj.weight.view(-1, 2, half, config.hidden_size)
    key[-1, 0, FAR * half // 16 :] = LINE_KEY * direction
