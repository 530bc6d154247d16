"""Model files: the profile is detected, and invalid folders are rejected with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from z1.errors import UserError
from z1.model_files import load_model, name_and_profile
from z1.models import shipped


def test_the_shipped_folder_names_its_profile() -> None:
    loaded = load_model(str(shipped()), None)
    assert (loaded.name, loaded.profile) == ("z1-tiny", "z1-tiny")
    assert load_model(str(shipped()), "plain").profile == "plain"


def test_our_folders_keep_their_tokenizer() -> None:
    """transformers' AutoTokenizer ignores the pre-tokenizer of `qwen2` folders; the model was trained with it."""
    tokenizer = load_model(str(shipped()), None).tokenizer
    saved = Tokenizer.from_file(str(shipped() / "tokenizer.json"))
    text = "What does this program print?\ns = 12\ns = s - 3 -> 9\n"
    assert tokenizer.encode(text, add_special_tokens=False) == saved.encode(text, add_special_tokens=False).ids
    assert " = " in [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]


def test_invalid_folders_are_rejected_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder or file"):
        load_model(str(tmp_path / "nowhere"), None)
    with pytest.raises(UserError, match=r"no config\.json"):
        load_model(str(tmp_path), None)
    Qwen2Config(vocab_size=8).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no weights"):
        load_model(str(tmp_path), None)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="model "):
        load_model(str(tmp_path), None)


def test_an_unavailable_hub_id_is_a_one_line_error() -> None:
    with pytest.raises(UserError) as caught:
        load_model("nobody/no-such-model", None)
    assert "\n" not in str(caught.value)


def test_a_folder_without_z1_json_loads(tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=600, num_key_value_heads=1, **shape)).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((shipped() / name).read_bytes())
    loaded = load_model(str(tmp_path), None)
    assert (loaded.name, loaded.profile) == (tmp_path.name, "plain")


def test_name_and_profile_need_no_weights(tmp_path: Path) -> None:
    assert name_and_profile(str(shipped()), None) == ("z1-tiny", "z1-tiny")
    assert name_and_profile("some/model", "qwen3") == ("some/model", "qwen3")
    with pytest.raises(UserError, match="transformers' format"):
        name_and_profile(str(tmp_path), None)
