"""The decoders compute the same logits as transformers."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GemmaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from z1.engines.local import decoder as decoding
from z1.engines.local import products
from z1.engines.local.decoder import Decoder, PrefillChunk, supports

SHAPE = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def made(kind: type, config: Any) -> Any:
    torch.manual_seed(1)
    model = kind(config)
    for parameter in model.parameters():  # norms and biases that do something, and contexts that matter
        torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.3)
    return model.eval()


MODELS = {
    "qwen2": made(Qwen2ForCausalLM, Qwen2Config(**SHAPE, **HEADS, tie_word_embeddings=True)),
    "qwen3": made(Qwen3ForCausalLM, Qwen3Config(**SHAPE, **HEADS, head_dim=16)),
    "llama": made(LlamaForCausalLM, LlamaConfig(**SHAPE, **HEADS, tie_word_embeddings=False)),
    "llama3": made(LlamaForCausalLM, LlamaConfig(**SHAPE, **HEADS, rope_parameters=STRETCHED)),
}

CONTEXTS = [[(7 * i + j * j) % 50 for j in range(6 + i)] for i in range(8)]


def expected(model: Any, ids: list[int]) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids])).logits[0, -1]
    return logits


def same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("deterministic", "scores"), [(False, 1 << 22), (False, 1), (True, 1 << 22)])
def test_logits_equal_those_of_one_full_forward_pass(
    name: str, deterministic: bool, scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contexts are computed whole, in chunks and token by token, concurrently and in any order."""
    monkeypatch.setattr(decoding, "MAX_SCORES", scores)
    model = MODELS[name]
    decoder = Decoder(model, 8, 64, deterministic=deterministic)
    rng = random.Random(2)
    reached = [0] * len(CONTEXTS)
    while left := [i for i, ids in enumerate(CONTEXTS) if reached[i] < len(ids)]:
        chosen = rng.sample(left, rng.randint(1, len(left)))
        sizes = [rng.choice([1, 1, 3, len(CONTEXTS[i])]) for i in chosen]
        chunks = [
            PrefillChunk(i, reached[i], CONTEXTS[i][reached[i] : reached[i] + size])
            for i, size in zip(chosen, sizes, strict=True)
        ]
        found = decoder.last_logits(chunks)
        for chunk, logits in zip(chunks, found, strict=True):
            reached[chunk.slot] += len(chunk.token_ids)
            same(logits, expected(model, CONTEXTS[chunk.slot][: reached[chunk.slot]]))


def has_batch_head(decoder: Decoder) -> bool:
    return decoder._batch_head is not None and decoder._batch_head.is_mkldnn


@pytest.mark.skipif(not products.can_pack(torch.float32), reason="oneDNN packs no weights here")
@pytest.mark.parametrize("name", MODELS)
def test_a_packed_head_is_made_for_the_first_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "MIN_PACKED", 1)
    decoder = Decoder(MODELS[name], 8, 64, deterministic=False)
    same(decoder.last_logits([PrefillChunk(0, 0, CONTEXTS[0])])[0], expected(MODELS[name], CONTEXTS[0]))
    assert not has_batch_head(decoder)
    found = decoder.last_logits([PrefillChunk(i, 0, ids) for i, ids in enumerate(CONTEXTS)])
    for logits, ids in zip(found, CONTEXTS, strict=True):
        same(logits, expected(MODELS[name], ids))
    assert has_batch_head(decoder)


@pytest.mark.parametrize("slots", [[0, 1, 2], [2, 0, 3], [0, 7], [6], [1, 2, 3, 5, 7]], ids=str)
def test_decoding_works_with_any_slots(slots: list[int]) -> None:
    """Contiguous, with gaps, and at the end of the cache."""
    model = MODELS["qwen2"]
    decoder = Decoder(model, 8, 64, deterministic=False)
    decoder.last_logits([PrefillChunk(i, 0, ids[:-1]) for i, ids in enumerate(CONTEXTS)])
    before = decoder.forward_passes
    found = decoder.last_logits([PrefillChunk(i, len(CONTEXTS[i]) - 1, CONTEXTS[i][-1:]) for i in slots])
    assert decoder.forward_passes == before + 1
    for slot, logits in zip(slots, found, strict=True):
        same(logits, expected(model, CONTEXTS[slot]))


@pytest.mark.parametrize("name", MODELS)
def test_deterministic_logits_are_bit_exact_across_batches_and_orders(name: str) -> None:
    model, count = MODELS[name], len(CONTEXTS)
    whole = [Decoder(model, 1, 64, deterministic=True).last_logits([PrefillChunk(0, 0, ids)])[0] for ids in CONTEXTS]
    order = random.Random(1).sample(range(count), count)
    together = Decoder(model, count, 64, deterministic=True).last_logits(
        [PrefillChunk(i, 0, CONTEXTS[i]) for i in order]
    )
    assert all(torch.equal(logits, whole[i]) for i, logits in zip(order, together, strict=True))
    pieces = Decoder(model, count, 64, deterministic=True)
    for i in order:  # the same contexts, id by id, each beside another
        for at in range(len(CONTEXTS[i]) - 1):
            pieces.last_logits([PrefillChunk(i, at, CONTEXTS[i][at : at + 1])])
    last = pieces.last_logits([PrefillChunk(i, len(ids) - 1, ids[-1:]) for i, ids in enumerate(CONTEXTS)])
    assert all(torch.equal(last[i], whole[i]) for i in range(count))


def test_deterministic_logits_are_bit_exact_with_several_threads() -> None:
    """The model is so wide that torch splits a tile between threads, within a row."""
    model = made(Qwen2ForCausalLM, Qwen2Config(**SHAPE | {"intermediate_size": 2050}, **HEADS))
    threads = torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        try:
            decoder = Decoder(model, 32, 64, deterministic=True)
            found.append(decoder.last_logits([PrefillChunk(i, 0, [3]) for i in range(32)]))
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
    assert all(torch.equal(logits, found[0][0]) for logits in torch.cat(found))


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_copied_slot_continues_like_its_source(deterministic: bool) -> None:
    decoder = Decoder(MODELS["qwen3"], 2, 64, deterministic=deterministic)
    decoder.last_logits([PrefillChunk(0, 0, [3, 4, 5])])
    decoder.copy(0, 1, 3)
    one, other = decoder.last_logits([PrefillChunk(0, 3, [6]), PrefillChunk(1, 3, [6])])
    same(one, other)
    if deterministic:  # elsewhere two rows of one matrix product may differ in their last bits, as on an AMD EPYC
        assert torch.equal(one, other)


def test_a_step_is_one_forward_pass_and_one_row_a_token() -> None:
    decoder = Decoder(MODELS["llama"], 4, 64, deterministic=False)
    decoder.last_logits([PrefillChunk(0, 0, [3, 4, 5]), PrefillChunk(1, 0, [6]), PrefillChunk(3, 0, [7, 8])])
    assert (decoder.forward_passes, decoder.computed_tokens) == (1, 6)
    tiled = Decoder(MODELS["llama"], 4, 64, deterministic=True)
    tiled.last_logits([PrefillChunk(0, 0, list(range(40)))])
    assert (tiled.forward_passes, tiled.computed_tokens) == (2, 40)


@pytest.mark.parametrize("name", MODELS)
def test_half_precision_is_as_accurate_as_transformers(name: str) -> None:
    """bfloat16 weights and KV cache, rotations and softmax in float32: as close to float32 as transformers."""
    exact = [expected(MODELS[name], ids) for ids in CONTEXTS]
    half = deepcopy(MODELS[name]).to(torch.bfloat16)
    decoder = Decoder(half, 8, 64, deterministic=False)
    decoder.last_logits([PrefillChunk(i, 0, ids[:-1]) for i, ids in enumerate(CONTEXTS)])
    found = decoder.last_logits([PrefillChunk(i, len(ids) - 1, ids[-1:]) for i, ids in enumerate(CONTEXTS)])
    theirs = torch.stack([expected(half, ids) for ids in CONTEXTS]).float()
    wanted = torch.stack(exact)
    assert (found.float() - wanted).abs().mean() < 1.5 * (theirs - wanted).abs().mean()


@pytest.mark.parametrize("longest", [100, 120, 250])
def test_attention_over_whole_rows_of_the_cache_is_that_over_their_used_part(longest: int) -> None:
    """Where an earlier, longer sequence left its keys and values behind, too."""
    decoder = Decoder(deepcopy(MODELS["llama"]).to(torch.bfloat16), 4, 512, deterministic=False)
    ids = [(7 * i) % 50 for i in range(longest)]
    decoder.last_logits([PrefillChunk(slot, 0, ids) for slot in range(4)])
    decoder.last_logits([PrefillChunk(slot, 0, [(3 * i + slot) % 50 for i in range(99)]) for slot in range(4)])
    found, lengths = [], []
    for whole in (True, False):
        decoder._copies_ranges = whole
        chunks = [PrefillChunk(slot, 99, [slot]) for slot in range(4)]
        lengths.append(decoder._make_group(chunks, slice(0, 4), torch.full((4,), 99)).mask.shape[-1])
        found.append(decoder.last_logits(chunks).float())
    is_whole = decoder.store.capacity <= 1.5 * 128
    assert lengths == [decoder.store.capacity if is_whole else 128, 128] and is_whole == (longest < 250)
    torch.testing.assert_close(found[0], found[1], atol=2e-2, rtol=0)


def test_the_kv_cache_grows_with_the_longest_sequence() -> None:
    decoder = Decoder(MODELS["qwen2"], 2, 500, deterministic=False)
    ids = [(3 * i) % 50 for i in range(200)]
    decoder.last_logits([PrefillChunk(0, 0, ids[:5])])
    small = decoder.store.held_length
    for at in range(5, 200):
        found = decoder.last_logits([PrefillChunk(0, at, ids[at : at + 1])])
    same(found[0], expected(MODELS["qwen2"], ids))
    assert small < 200 <= decoder.store.held_length < 500


def test_supported_configurations() -> None:
    assert all(supports(model.config) for model in MODELS.values())
    assert not supports(GemmaConfig(**SHAPE))
    assert not supports(LlamaConfig(**SHAPE, attention_bias=True))
    assert not supports(LlamaConfig(**SHAPE, mlp_bias=True))
    assert not supports(Qwen3Config(**SHAPE, attention_bias=True))
    assert not supports(Qwen2Config(**SHAPE, hidden_act="gelu"))
    assert not supports(LlamaConfig(**SHAPE, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2}))
