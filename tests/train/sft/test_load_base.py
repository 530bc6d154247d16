"""Any causal model begins, in the precision and with the attention that were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.train import tuned
from z1.errors import UserError
from z1.train.sft.attention import ROWS
from z1.train.sft.load_base import loaded, model_of


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base of another family, in half precision."""
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(LlamaConfig(**tuned.SHAPE)).to(torch.bfloat16).save_pretrained(folder)
    return str(folder)


def test_packing_asks_for_our_attention_and_padding_for_the_models_own(llama: str) -> None:
    for packing in (True, False):
        model = model_of(llama, tuned.settings(packing=packing), 0)
        assert (model.config._attn_implementation == ROWS) == packing


def test_weights_are_loaded_in_the_precision_that_they_are_needed_in(llama: str) -> None:
    for precision, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        assert model_of(llama, tuned.settings(precision=precision), 0).dtype == dtype


def test_gradient_checkpointing_is_as_it_was_asked(llama: str) -> None:
    for asked in (True, False):
        assert model_of(llama, tuned.settings(gradient_checkpointing=asked), 0).is_gradient_checkpointing == asked


def test_loras_first_weights_are_a_function_of_the_seed(llama: str) -> None:
    def learns(seed: int) -> list[torch.Tensor]:
        return [p for p in model_of(llama, tuned.settings(lora_rank=2), seed).parameters() if p.requires_grad]

    one, same, other = learns(0), learns(0), learns(1)
    assert len(one) == 2 * 7 * 2
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        loaded(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("give a folder or hub id of a causal language model")
