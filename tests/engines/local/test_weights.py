"""Weights that are read without transformers' model classes are the same, and all other folders are left to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

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
        {"layer_types": ["sliding_attention", "full_attention"]},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"rope_parameters": None},
        {"quantization_config": {"quant_method": "gptq"}},
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


def test_a_checkpoint_of_several_files_is_the_same(tmp_path: Path) -> None:
    weights = saved(tmp_path) / "model.safetensors"
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    weights.unlink()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same(tmp_path)


def test_the_settings_of_older_checkpoints_are_the_same(tmp_path: Path) -> None:
    """Before transformers 5 the base of the rotary embedding was a setting of its own."""
    saved(tmp_path, "llama", rope_parameters=None, rope_theta=5e5, tie_word_embeddings=None)
    (tmp_path / "z1.json").unlink()
    assert_same(tmp_path)


def test_a_layer_is_read_when_it_is_reached(tmp_path: Path) -> None:
    """A whole model beside the decoder's own copies would be twice the memory."""
    weights = read_weights(saved(tmp_path))
    assert weights is not None
    layers = iter(weights.model.layers)
    first = next(layers).mlp.up_proj.weight
    assert all(first is not layer.mlp.up_proj.weight for layer in weights.model.layers)
    assert len(list(layers)) == 1


def test_weights_are_read_in_the_dtype_of_the_settings(tmp_path: Path) -> None:
    weights = read_weights(saved(tmp_path), torch.bfloat16)
    assert weights is not None
    tensors = load_file(tmp_path / "model.safetensors")
    assert torch.equal(weights.model.embed_tokens.weight, tensors["model.embed_tokens.weight"].bfloat16())
