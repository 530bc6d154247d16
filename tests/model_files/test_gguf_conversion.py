"""A GGUF file gives the weights, settings and tokens of the model that it was written from."""

from __future__ import annotations

import json
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from tests.model_files.byte_level import make_tokenizer
from tests.model_files.gguf_files import MODELS, SHAPE, gguf, make_model, write_gguf
from z1.engines.local.engine import load
from z1.errors import UserError
from z1.model_files import find_model, load_tokenizer, name_and_profile
from z1.model_files.gguf_conversion import convert_header
from z1.model_files.gguf_header import read_header


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Z1_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("architecture", MODELS)
def test_weights_and_settings_survive(architecture: str, tmp_path: Path) -> None:
    model = make_model(architecture)
    folder = find_model(str(write_gguf(tmp_path / "m.gguf", architecture, model)))
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert type(again) is type(model)
    token_ids = torch.randint(0, 500, (2, 70), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again(token_ids).logits, model(token_ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "dtype"), [("F16", "float16"), ("BF16", "bfloat16"), ("Q8_0", "float32")])
def test_a_file_of_16_bits_keeps_its_type_and_a_quantized_one_becomes_float32(
    kind: str, dtype: str, tmp_path: Path
) -> None:
    folder = find_model(str(write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"), kind)))
    assert AutoConfig.from_pretrained(folder).dtype == getattr(torch, dtype)
    assert folder.name.startswith(f"m-{dtype}-")


def test_transformers_reads_the_same_weights(tmp_path: Path) -> None:
    """Another reader, by other code, of a quantized file."""
    path = write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"), "Q8_0")
    ours = AutoModelForCausalLM.from_pretrained(find_model(str(path)), dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_the_rotary_scaling_of_llama_3_is_recovered(factor: float, tmp_path: Path) -> None:
    """llama.cpp's conversion writes divisors of the frequencies, and not the settings that they follow from."""
    settings = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": factor, **settings}
    config = AutoConfig.for_model(**SHAPE | MODELS["llama"] | {"rope_parameters": rope, "head_dim": 64})
    model = AutoModelForCausalLM.from_config(config)
    plain = 1 / 500_000.0 ** (torch.arange(0, 64, 2).float() / 64)
    writer = gguf.GGUFWriter.add_tensor

    def with_frequencies(self: Any, name: str, *args: Any, **options: Any) -> None:
        if name == "token_embd.weight":
            writer(self, "rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy())
        writer(self, name, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf.GGUFWriter, "add_tensor", with_frequencies)
        path = write_gguf(tmp_path / "m.gguf", "llama", model)
    found = AutoConfig.from_pretrained(find_model(str(path))).rope_parameters
    assert found["rope_type"] == "llama3"
    assert found["factor"] == pytest.approx(factor)


def test_it_is_converted_once_and_again_for_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"))
    folder = find_model(str(path))
    assert "converting" in capsys.readouterr().err
    assert find_model(str(path)) == folder
    assert capsys.readouterr().err == ""
    write_gguf(path, "llama", make_model("llama", seed=1), "F16")
    assert find_model(str(path)) != folder


def test_a_killed_conversion_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete shards are kept, and the folder appears only when it is whole."""
    from z1.model_files import gguf_weights

    path = write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"))
    monkeypatch.setattr(gguf_weights, "SHARD_BYTES", 50_000)
    real = save_file
    saved: list[str] = []

    def killed_at_third(tensors: Any, file: Path, **options: Any) -> None:
        saved.append(file.name)
        if len(saved) == 3:
            raise KeyboardInterrupt
        real(tensors, file, **options)

    monkeypatch.setattr(gguf_weights, "save_file", killed_at_third)
    with pytest.raises(KeyboardInterrupt):
        find_model(str(path))
    assert not list((tmp_path / "cache").glob("m-*"))
    first_two = {file.split(".")[1] for file in saved[:2]}
    saved.clear()
    saved += [".", ".", "."]
    folder = find_model(str(path))
    assert first_two.isdisjoint(file.split(".")[1] for file in saved[3:])
    again = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in make_model("llama").state_dict().items())


def test_a_file_whose_weights_are_cut_has_a_tokenizer_and_no_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"))
    path.write_bytes(path.read_bytes()[:-5000])
    assert load_tokenizer(str(path)).encode("sum")
    assert name_and_profile(str(path), None) == ("m", "plain")
    with pytest.raises(UserError, match="a longer file") as caught:
        find_model(str(path))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_weights_is_not_taken_for_an_old_mistrals(tmp_path: Path) -> None:
    """transformers warns where a configuration has no version, above 100,000 tokens."""
    folder = convert_header(write_gguf(tmp_path / "m.gguf", "qwen2", make_model("qwen2")))
    assert json.loads((folder / "config.json").read_text("utf-8"))["transformers_version"] == version("transformers")


@pytest.mark.parametrize("length", [0, 3, 20, 100, 2000])
def test_a_cut_header_is_one_line(length: int, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError) as caught:
        find_model(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"))
    path.write_bytes(path.read_bytes().replace(b"llama", b"lemur"))
    with pytest.raises(UserError, match=r"architecture lemur.*llama, qwen2"):
        find_model(str(path))


def test_parts_of_one_file_are_one_model(tmp_path: Path) -> None:
    real: Any = gguf.GGUFWriter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf, "GGUFWriter", partial(real, split_max_tensors=8))
        write_gguf(tmp_path / "m.gguf", "llama", make_model("llama"))
    parts = sorted(tmp_path.glob("*.gguf"))
    assert len(parts) > 2
    assert find_model(str(tmp_path)) == find_model(str(parts[0]))
    assert read_header(parts[0]).name == "m"
    parts[1].unlink()
    with pytest.raises(UserError, match="no part"):
        find_model(str(parts[0]))


def test_the_engine_loads_a_file_with_its_template(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "small.gguf", "llama", make_model("llama"))
    engine = load(path)
    assert (engine.name, engine.profile) == ("small", "plain")
    own, given = engine.tokenizer, make_tokenizer()
    chat = [{"role": "user", "content": "What is 12 + 2026?"}]
    rendered = own.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert rendered == given.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert own.encode(rendered) == given.encode(rendered)
