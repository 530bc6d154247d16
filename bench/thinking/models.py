"""Random models of several shapes, and a tokenizer.

Weights have a fixed seed and a standard deviation at which greedy tokens vary; no token ends a reply. The tokenizer is
for arms that join text: byte-level, trained on made-up words, ASCII only, so that each token is a whole number of
characters.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

SEED = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """A Qwen2 decoder: sizes only."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    tied: bool = True
    spread: float = 0.2
    """Standard deviation of the matrices."""

    @property
    def head(self) -> int:
        """Size of a head."""
        return self.hidden // self.heads


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("bench-2m", 192, 4, 6, 2, 512, 4096),
        Shape("bench-100m", 768, 14, 12, 4, 2048, 16384, spread=0.1),
        Shape("qwen2.5-coder-7b", 3584, 28, 28, 4, 18944, 152064, tied=False, spread=0.05),
    )
}


def make_model(shape: Shape, device: str, length: int, dtype: torch.dtype = torch.float32) -> Any:
    """A model of this shape for contexts of up to `length` tokens."""
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=length,
        tie_word_embeddings=shape.tied,
        initializer_range=shape.spread,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return Qwen2ForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)


def make_tokenizer(vocabulary: int) -> Tokenizer:
    """A byte-level BPE of at most `vocabulary` tokens, trained on made-up words."""
    draw = random.Random(SEED)
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
    words = ["".join(draw.choices(syllables, k=draw.choice((1, 2, 2, 3)))) for _ in range(vocabulary)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False)
    tokenizer.train_from_iterator((" ".join(["", *draw.choices(words, k=64)]) for _ in range(vocabulary // 4)), trainer)
    return tokenizer
