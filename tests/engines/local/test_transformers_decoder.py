"""The decoders compute the same logits as transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from z1.engines.local.decoder import PrefillChunk
from z1.engines.local.engine import LocalSettings, make_decoder
from z1.engines.local.transformers_decoder import TransformersDecoder, reject_other_layers
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


SMALL = {
    "vocab_size": 120,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "num_hidden_layers": 6,
    "sliding_window": 8,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "mistral": {},
    "mixtral": EXPERTS,
    "phi3": {},
    "gemma2": {},
    "gemma3_text": {},
    "gpt_oss": EXPERTS,
    "olmo3": {},
    "cohere2": {},
    "exaone4": {"sliding_window_pattern": 3},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 2},
    "llama4_text": {"attention_chunk_size": 8, "sliding_window": None, **EXPERTS},
    "smollm3": {"sliding_window": None, "no_rope_layer_interval": 3},
}
"""Families with sliding windows, chunks, or layers without positions, much shorter than the contexts below."""


def small_model(family: str) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SMALL | FAMILIES[family]))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0, 0.3)
    model.generation_config.eos_token_id = None
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("deterministic", [False, True])
def test_greedy_tokens_equal_those_of_generate(family: str, deterministic: bool) -> None:
    model, prompts, count = small_model(family), [[5, 7, 9], list(range(3, 43))], 30
    wanted = [
        model.generate(torch.tensor([prompt]), max_new_tokens=count, do_sample=False)[0].tolist() for prompt in prompts
    ]
    decoder = make_decoder(model, LocalSettings(4, 96, deterministic), 96)
    found, done = [list(prompt) for prompt in prompts], [0, 0]
    for _ in range(count):
        chunks = [PrefillChunk(i, done[i], row[done[i] :]) for i, row in enumerate(found)]
        for i, logits in enumerate(decoder.last_logits(chunks)):
            done[i] = len(found[i])
            found[i].append(int(logits.argmax()))
    assert found == wanted
    assert len(set(wanted[0])) > 8  # a model that repeats one token would prove nothing


def test_models_with_another_state_are_rejected_by_name() -> None:
    config = AutoConfig.for_model("qwen3_next", **SMALL, layer_types=["linear_attention", "full_attention"] * 3)
    with pytest.raises(UserError, match=r"qwen3_next: got layers of linear_attention; run it with vLLM"):
        reject_other_layers(config)
    reject_other_layers(Qwen2Config(**SHAPE))
    reject_other_layers(MistralConfig(**SHAPE, sliding_window=8))


def test_the_cache_grows_with_its_use() -> None:
    forward = TransformersDecoder(models()[0], 40, 64, deterministic=False)
    forward.last_logits([PrefillChunk(0, 0, [3, 4])])
    small = forward.cache.layers[0][0].shape
    forward.last_logits([PrefillChunk(slot, 0, [3] * 40) for slot in range(3)])
    assert (small[0], small[2]) == (1, 32)
    assert forward.cache.layers[0][0].shape[0] < 6
