"""A model of any kind is written as a folder of safetensors that transformers loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.model_files.byte_level import VOCABULARY, make_tokenizer
from z1.engines.local.engine import load
from z1.errors import UserError
from z1.model_files.plain_folder import write_folder
from z1.runs import read_json


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder in float32, in several files."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model", max_shard_size="20KB")
    make_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "z1.json").write_text('{"name": "mine", "profile": "plain"}', encoding="utf-8")
    (tmp_path / "model" / "optimizer.pt").write_bytes(b"no part of the model")
    return tmp_path / "model"


@pytest.mark.parametrize("precision", [None, "bf16"])
def test_its_weights_are_those_of_the_model_in_the_precision(
    model: Path, tmp_path: Path, precision: str | None
) -> None:
    size = write_folder(str(model), tmp_path / "plain", precision)
    dtype = torch.bfloat16 if precision else torch.float32
    before = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype="auto")
    assert after.dtype == AutoConfig.from_pretrained(tmp_path / "plain").dtype == dtype
    assert all(torch.equal(tensor, after.state_dict()[name]) for name, tensor in before.items())
    shards = [*(tmp_path / "plain").glob("*.safetensors")]
    assert len(shards) > 1 and size == sum(file.stat().st_size for file in shards)
    tensors = [tensor for file in shards for tensor in load_file(file).values()]
    index = read_json(tmp_path / "plain" / "model.safetensors.index.json")
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors)
    assert not (tmp_path / "plain" / "optimizer.pt").exists()
    assert load(tmp_path / "plain").name == "mine"


def test_nothing_is_overwritten(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"which exists; give a new folder$"):
        write_folder(str(model), tmp_path / "model")
    with pytest.raises(UserError, match=r"--precision: got int4; give bf16 or float32$"):
        write_folder(str(model), tmp_path / "plain", "int4")
