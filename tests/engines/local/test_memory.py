"""Memory is computed from the files of a model, and what does not fit is said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from z1.engines.local import engine, memory
from z1.engines.local.decoder import Decoder
from z1.engines.local.engine import LocalSettings, fit_memory, load
from z1.engines.local.memory import describe, fit_contexts, free_memory, memory_need
from z1.errors import UserError
from z1.models import shipped


def test_weights_and_contexts_are_those_of_the_decoder() -> None:
    settings = LocalSettings(max_num_seqs=3, max_model_len=128)
    need = memory_need(shipped(), "float32", 128, 512)
    decoder = load(shipped(), settings).decoder
    assert isinstance(decoder, Decoder)
    layer = decoder._layers[0]
    tensors = (layer.norm, layer.attention, layer.bias, layer.out, layer.mlp_norm, layer.gate_up, layer.down)
    held = sum(t.numel() for t in tensors if t is not None) * len(decoder._layers)
    held += decoder._head.numel() + decoder._norm.numel()
    assert need.weights == 4 * held
    decoder.store.reserve(3, 128)
    stored = sum(part.numel() for kv in decoder.store.layers for part in (kv.keys, kv.values))
    assert 3 * need.context == pytest.approx(4 * stored * 128 / decoder.store.capacity)


def test_a_head_in_float32_counts_twice_with_several_contexts() -> None:
    config = json.loads((shipped() / "config.json").read_text())
    one, many, half = (
        memory_need(shipped(), dtype, 128, 512, contexts).other
        for dtype, contexts in (("float32", 1), ("float32", 8), ("bfloat16", 8))
    )
    assert many - one == 4 * config["vocab_size"] * config["hidden_size"]
    assert half == one


def test_bfloat16_takes_half() -> None:
    full, half = (memory_need(shipped(), dtype, 128, 512) for dtype in ("float32", "bfloat16"))
    assert (full.weights, full.context) == (2 * half.weights, 2 * half.context)


def test_as_many_contexts_as_fit_and_not_more_than_asked() -> None:
    need = memory_need(shipped(), "float32", 1024, 512)
    free = int((need.total(10) + 1) / memory.SPARE) + 1
    assert fit_contexts(need, 64, 1024, free) == 10
    assert fit_contexts(need, 4, 1024, free) == 4
    assert "10 contexts of 1,024 tokens (not the 64 asked for" in describe(need, 10, 64, 1024, free)
    with pytest.raises(UserError, match=r"^memory: got .* free.*lower --max-model-len"):
        fit_contexts(need, 64, 1024, need.weights)


def test_bfloat16_is_taken_where_float32_does_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wide = json.loads((shipped() / "config.json").read_text()) | {"num_hidden_layers": 40_000}
    (tmp_path / "config.json").write_text(json.dumps(wide))
    (tmp_path / "model.safetensors").write_bytes((shipped() / "model.safetensors").read_bytes())
    need = memory_need(tmp_path, "float32", 512, 512)
    monkeypatch.setattr(engine, "free_memory", lambda: int((need.total(1) - need.context // 4) / memory.SPARE))
    assert fit_memory(tmp_path, LocalSettings(1, 512))[0] == torch.bfloat16
    for settings in (LocalSettings(1, 512, dtype="float32"), LocalSettings(1, 512, deterministic=True)):
        with pytest.raises(UserError, match="memory"):
            fit_memory(tmp_path, settings)


def test_fewer_sequences_are_said_and_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need = memory_need(shipped(), "float32", 256, 512, 64)
    monkeypatch.setattr(engine, "free_memory", lambda: int(need.total(5) / memory.SPARE) + 2)
    loaded = load(shipped(), LocalSettings(max_num_seqs=64, max_model_len=256))
    assert loaded.kv_cache.num_slots == 5
    assert "5 contexts of 256 tokens" in capsys.readouterr().err


def test_free_memory_is_a_part_of_all_memory() -> None:
    assert 10_000_000 < free_memory() < 10**14


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(UserError, match=r"^dtype: got int4; choose one of"):
        LocalSettings(dtype="int4")
