"""Any causal model is loaded in the configured precision and with the configured attention."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.train import small, small_sft
from z1.errors import UserError
from z1.prompts import CHATML
from z1.train.scratch.tokenizer import build
from z1.train.sft.attention import ROWS
from z1.train.sft.load_base import load_base, load_base_tokenizer, load_model


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base of another family, in half precision."""
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(LlamaConfig(**small_sft.SHAPE)).to(torch.bfloat16).save_pretrained(folder)
    return str(folder)


def test_packing_uses_our_attention_and_padding_the_models_own(llama: str) -> None:
    for packing in (True, False):
        model = load_base(llama, small_sft.settings(packing=packing), 0)
        assert (model.config._attn_implementation == ROWS) == packing


def test_weights_are_loaded_in_the_required_precision(llama: str) -> None:
    for precision, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        assert load_base(llama, small_sft.settings(precision=precision), 0).dtype == dtype


def test_gradient_checkpointing_follows_the_setting(llama: str) -> None:
    for asked in (True, False):
        assert load_base(llama, small_sft.settings(gradient_checkpointing=asked), 0).is_gradient_checkpointing == asked


def test_initial_lora_weights_are_a_function_of_the_seed(llama: str) -> None:
    def learns(seed: int) -> list[torch.Tensor]:
        return [p for p in load_base(llama, small_sft.settings(lora_rank=2), seed).parameters() if p.requires_grad]

    one, same, other = learns(0), learns(0), learns(1)
    assert len(one) == 2 * 7 * 2
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_model(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert str(caught.value) == (
        f"model folder {tmp_path}: got no weights (*.safetensors); copy the weights there, or train the model"
    )


# its tokenizer


def test_a_tokenizer_of_z1_is_read_as_it_was_saved(tmp_path: Path) -> None:
    small.tokenizer().save_pretrained(tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()
    (tmp_path / "z1.json").write_text('{"name": "small"}', encoding="utf-8")
    load_base_tokenizer(str(tmp_path)).save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == before


@pytest.mark.parametrize(("own", "found"), [(None, CHATML), ("{{ messages }}", "{{ messages }}")], ids=["none", "own"])
def test_a_base_without_a_template_gets_chatml(own: str | None, found: str, tmp_path: Path) -> None:
    made = build(["a"], 300)
    made.chat_template = own
    made.save_pretrained(tmp_path)
    assert load_base_tokenizer(str(tmp_path)).chat_template == found


def test_a_folder_without_a_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^tokenizer of base .*; give a folder or hub id of a language model$"
    ) as caught:
        load_base_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
