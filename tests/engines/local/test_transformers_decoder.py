"""The decoders compute the same logits as transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from z1.engines.local.decoder import PrefillChunk
from z1.engines.local.transformers_decoder import TransformersDecoder, reject_partial_attention
from z1.errors import UserError

SHAPE = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}


def models() -> list[Any]:
    torch.manual_seed(1)
    return [
        Qwen2ForCausalLM(Qwen2Config(**SHAPE, **HEADS)),
        Qwen3ForCausalLM(Qwen3Config(**SHAPE, **HEADS, head_dim=8)),
        LlamaForCausalLM(LlamaConfig(**SHAPE, **HEADS)),
    ]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.config.model_type)
@pytest.mark.parametrize("deterministic", [False, True])
def test_logits_equal_those_of_one_full_forward_pass(model: Any, deterministic: bool) -> None:
    ids = [[3, 4, 5, 6, 7, 8], [9, 10, 11], [12, 13, 14, 15]]
    forward = TransformersDecoder(model, 3, 64, deterministic=deterministic)
    for at in (0, 1):  # the first id of each, then what is left in one piece
        chunks = [PrefillChunk(i, at, row[at : at + 1] if at == 0 else row[at:]) for i, row in enumerate(ids)]
        found = forward.last_logits(chunks)
    with torch.inference_mode():
        for row, logits in zip(ids, found, strict=True):
            torch.testing.assert_close(logits, model.eval()(torch.tensor([row])).logits[0, -1], atol=1e-5, rtol=1e-4)


def test_a_copied_slot_continues_like_its_source() -> None:
    forward = TransformersDecoder(models()[0], 2, 64, deterministic=True)
    forward.last_logits([PrefillChunk(0, 0, [3, 4, 5])])
    forward.cache.copy(0, 1, 3)
    one, other = forward.last_logits([PrefillChunk(0, 3, [6]), PrefillChunk(1, 3, [6])])
    assert torch.equal(one, other)


def test_decoding_is_one_forward_pass_for_all_slots() -> None:
    forward = TransformersDecoder(models()[0], 4, 64, deterministic=False)
    forward.last_logits([PrefillChunk(i, 0, [3, 4]) for i in range(4)])
    before = forward.forward_passes
    forward.last_logits([PrefillChunk(i, 2, [5]) for i in range(4)])
    assert forward.forward_passes - before == 1


def test_models_with_partial_attention_are_rejected_by_name() -> None:
    with pytest.raises(UserError, match="mistral"):
        reject_partial_attention(MistralConfig(**SHAPE, sliding_window=8))
    reject_partial_attention(Qwen2Config(**SHAPE))
