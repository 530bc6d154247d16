"""Weights that are read without transformers' model classes are the same, and all other folders are left to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from z1.engines.local.decoder import Decoder, PrefillChunk
from z1.engines.local.weights import read_weights
from z1.model_files import load_model
from z1.models import LONG, SHIPPED, shipped

SHAPE = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
CHUNKS = [PrefillChunk(slot, 0, [(7 * slot + i * i) % 50 for i in range(3 + 9 * slot)]) for slot in range(4)]

MAKERS: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, **HEADS, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, **HEADS, head_dim=16, tie_word_embeddings=False)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, **HEADS, rope_parameters={"rope_theta": 5e5})).bfloat16(),
}


def saved(folder: Path, name: str = "qwen2", **settings: Any) -> Path:
    """A folder as z1 writes it; with `settings`, its configuration is changed afterwards (None removes one)."""
    torch.manual_seed(1)
    model = MAKERS[name]()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.3)
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "z1.json"):
        (folder / file).write_bytes((shipped() / file).read_bytes())
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


def assert_same(folder: Path) -> None:
    """Logits of both ways to read `folder` are equal to the bit, and so is what the engine knows of the model."""
    read, loaded = read_weights(folder), load_model(str(folder), None).model
    assert read is not None
    assert (read.num_parameters(), read.dtype) == (loaded.num_parameters(), loaded.dtype)
    assert read.config.max_position_embeddings == loaded.config.max_position_embeddings
    for deterministic in (False, True):
        logits = [Decoder(m, 4, 64, deterministic=deterministic).last_logits(CHUNKS) for m in (read, loaded)]
        assert torch.equal(*logits)


@pytest.mark.parametrize("name", [SHIPPED, LONG])
def test_the_models_in_the_package_are_the_same(name: str) -> None:
    assert_same(shipped(name))


@pytest.mark.parametrize("name", MAKERS)
def test_each_family_is_the_same(name: str, tmp_path: Path) -> None:
    assert_same(saved(tmp_path, name))


@pytest.mark.parametrize(
    "settings",
    [
        {"sliding_window": 16},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"rope_parameters": None},
        {"hidden_act": "gelu"},
        {"model_type": "gemma"},
        {"rms_norm_eps": None},
        {"num_hidden_layers": 1},
        {"num_key_value_heads": 4},
        {"tie_word_embeddings": False},
    ],
)
def test_other_configurations_are_left_to_transformers(settings: dict[str, Any], tmp_path: Path) -> None:
    assert read_weights(saved(tmp_path, **settings)) is None


def test_other_folders_are_left_to_transformers(tmp_path: Path) -> None:
    weights = saved(tmp_path) / "model.safetensors"
    tensors = load_file(weights)
    for changed in (tensors | {"model.more.weight": torch.zeros(1)}, dict(list(tensors.items())[1:])):
        save_file({name: tensor.clone() for name, tensor in changed.items()}, weights)
        assert read_weights(tmp_path) is None
    weights.write_bytes(b"torn")
    assert read_weights(tmp_path) is None
    weights.unlink()
    assert read_weights(tmp_path) is None
    assert read_weights(tmp_path / "nowhere") is None
    (saved(tmp_path) / "z1.json").unlink()
    assert read_weights(tmp_path) is None
