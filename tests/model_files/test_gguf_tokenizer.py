"""The tokenizer of a GGUF file gives the tokens of the one that it was written from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from tests.model_files.byte_level import DIGITS, TEXTS, make_tokenizer
from tests.model_files.gguf_files import add_tokenizer, gguf
from z1.errors import UserError
from z1.model_files import gguf_tokenizer
from z1.model_files.gguf_header import Gguf, read_header

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def split(pattern: str) -> Any:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])


OWN: dict[str, Any] = {
    "smollm": DIGITS,
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "deepseek-r1-qwen": split(QWEN2),
    "qwen2": split(QWEN2),
    "dbrx": split(LLAMA3),
}
"""Pre-tokenizers as in the tokenizer.json of models of these names."""


def read(write: Any) -> Gguf:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        write(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        return read_header(path)


@cache
def pair(pre: str) -> tuple[Any, Any]:
    own = make_tokenizer(OWN[pre])
    return own, gguf_tokenizer.make_tokenizer(read(lambda writer: add_tokenizer(writer, own, pre)))


TEXT = st.one_of(
    st.text(st.sampled_from(" \t\n\rabcXYZ0159'slLtTvVeE.,(){}<|>/é日🙂-"), max_size=40),
    st.lists(st.sampled_from(["<think>", "</think>", "<|im_end|>", "12345", " the ", "It's", *TEXTS[:2]])).map("".join),
)


@pytest.mark.parametrize("pre", OWN)
@given(text=TEXT)
def test_tokens_and_text_are_those_of_the_original(pre: str, text: str) -> None:
    own, found = pair(pre)
    token_ids = own.encode(text, add_special_tokens=False)
    if pre != "qwen2":  # that row composes characters first (NFC), as Qwen's own file does
        assert found.encode(text, add_special_tokens=False) == token_ids
    assert found.decode(token_ids) == own.decode(token_ids)
    assert found.decode(token_ids, skip_special_tokens=True) == own.decode(token_ids, skip_special_tokens=True)


def test_control_tokens_that_are_not_ascii_are_one_token() -> None:
    """DeepSeek's; transformers' reader of GGUF files takes them for mistakes."""

    def write(writer: Any) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("deepseek-r1-qwen")
        writer.add_token_list(["a", "b", "<｜end▁of▁sentence｜>", "</think>"])
        writer.add_token_types([1, 1, 3, 4])
        writer.add_eos_token_id(2)

    tokenizer = gguf_tokenizer.make_tokenizer(read(write))
    assert tokenizer.encode("a<｜end▁of▁sentence｜>b</think>") == [0, 2, 1, 3]
    assert tokenizer.eos_token_id == 2
    assert tokenizer.decode([0, 2, 1, 3], skip_special_tokens=True) == "ab</think>"


def sentencepiece(writer: Any, *, prefix: bool) -> None:
    pieces = ["▁the", "▁", "t", "h", "e", "he", "th", "▁t", "▁th", "\n"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-1.0, -20.0, -21.0, -22.0, -23.0, -2.0, -3.0, -4.0, -5.0, -24.0])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * len(pieces)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(prefix)


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_merges_by_score_and_falls_back_to_bytes(prefix: bool) -> None:
    found = gguf_tokenizer.make_tokenizer(read(lambda writer: sentencepiece(writer, prefix=prefix)))
    first = "▁the" if prefix else "th"
    token_ids = found.encode("the the é", add_special_tokens=False)
    tokens = found.convert_ids_to_tokens(token_ids)
    assert tokens[0] == first or tokens[:2] == ["t", "he"]
    assert tokens[-3:] == ["▁", "<0xC3>", "<0xA9>"]
    assert "▁the" in tokens
    assert found.decode(token_ids) == "the the é"
    assert found.encode("the")[0] == 1  # the beginning of a sequence, which sentencepiece models add


def test_an_unknown_pre_tokenizer_is_refused() -> None:
    own = make_tokenizer()
    with pytest.raises(UserError, match="unknown pre-tokenizer foo"):
        gguf_tokenizer.make_tokenizer(read(lambda writer: add_tokenizer(writer, own, "foo")))
