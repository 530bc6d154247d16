"""A tokenizer is what its file defines, whatever class transformers would give it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.model_files.byte_level import DIGITS, make_tokenizer
from z1.model_files import load_tokenizer
from z1.model_files.tokenizer import PROBE

CLASSES = ["LlamaTokenizer", "LlamaTokenizerFast", "Qwen2Tokenizer", "GPT2Tokenizer", "PreTrainedTokenizerFast"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_tokenizer(DIGITS).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return tmp_path


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("model_type", ["llama", "qwen2", "mistral"])
def test_the_tokens_are_those_of_the_file(name: str, model_type: str, folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": name}))
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    own, found = Tokenizer.from_file(str(folder / "tokenizer.json")), load_tokenizer(str(folder))
    for text in ("Add 2 and 3, please.", "12345 it's", PROBE):
        token_ids = own.encode(text, add_special_tokens=False).ids
        assert found.encode(text, add_special_tokens=False) == token_ids
        assert found.decode(token_ids) == text
    assert (found.eos_token, found.chat_template) == ("<|im_end|>", make_tokenizer().chat_template)


def test_transformers_changes_some(folder: Path) -> None:
    """The reason for the comparison: if this fails, transformers has mended it."""
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "LlamaTokenizer"}))
    theirs = AutoTokenizer.from_pretrained(folder)
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert theirs.encode(PROBE, add_special_tokens=False) != own.encode(PROBE, add_special_tokens=False).ids
