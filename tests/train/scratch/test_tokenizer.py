"""Digits, capitals and one-letter names are single tokens, and encoding changes no text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.train import small
from z1.prompts import CHATML
from z1.synthetic.programs import generate
from z1.train.scratch.tokenizer import SPECIAL, build, line_numbers

LAW = settings(max_examples=60, deadline=None, derandomize=True)
ALONE = re.compile(r"\d|[A-Z](?![a-z_]{2})|(?<![A-Za-z_])[a-z](?![a-z_])")
"""A digit; a capital letter that begins no capitalised word; a letter that is a whole name."""


@cache
def reloaded() -> Any:
    """The tokenizer as AutoTokenizer reads it beside a configuration of type `qwen2`."""
    with TemporaryDirectory() as folder:
        small.model().save_pretrained(folder)
        small.tokenizer().save_pretrained(folder)
        found = AutoTokenizer.from_pretrained(folder)
    assert type(found).__name__ == "Qwen2Tokenizer"
    return found


def pieces(text: str) -> list[str]:
    """The tokens of an ASCII text, as their texts."""
    tokenizer = small.tokenizer()
    return [str(tokenizer.decode([token])) for token in tokenizer.encode(text, add_special_tokens=False)]


def test_the_rows_reach_every_kind_of_token() -> None:
    assert {row.level for row in small.rows()} == {"direct", "compact", "full"}
    assert len(small.tokenizer()) > 256 + len(SPECIAL)
    assert pieces("print(a)") == ["print", "(", "a", ")"]


@given(st.integers(0, 5000))
@LAW
def test_digits_capitals_and_one_letter_names_are_single_tokens(index: int) -> None:
    _kind, source = generate(11, index)
    begins, at = {}, 0
    for piece in pieces(source):
        begins[at] = piece
        at += len(piece)
    assert "".join(begins.values()) == source
    assert all(begins.get(found.start()) == found.group() for found in ALONE.finditer(source))


@pytest.mark.parametrize("name", ["a", "w", "7", "B"])
@pytest.mark.parametrize("place", ["{}", " {}", "({})", "[1, {}]", "= {}\n", "    {} = 1", '"A{}"', "-> {}"])
def test_a_name_is_the_same_token_everywhere(name: str, place: str) -> None:
    (token,) = small.tokenizer().encode(name, add_special_tokens=False)
    assert token in small.tokenizer().encode(place.format(name), add_special_tokens=False)


@given(st.text())
@LAW
def test_any_text_is_decoded_unchanged(text: str) -> None:
    tokenizer = small.tokenizer()
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False), skip_special_tokens=False) == text


@given(st.one_of(st.text(), st.integers(0, 5000).map(lambda index: generate(11, index)[1])))
@LAW
def test_any_pre_tokenizer_gives_the_same_ids(text: str) -> None:
    """AutoTokenizer, and vLLM with it, puts Qwen's own in the place of ours; nothing may depend on it."""
    assert reloaded().encode(text) == small.tokenizer().encode(text)
    assert reloaded().decode(reloaded().encode(text)) == text


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n  \t", " a , b .", "don 't", "naïve 你好 🙂", "<|im_end|>\n", "\x00\x7f"]
)
def test_awkward_texts_are_decoded_unchanged(text: str) -> None:
    tokenizer = small.tokenizer()
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False), skip_special_tokens=False) == text


def test_special_tokens_are_single_tokens_everywhere() -> None:
    tokenizer = small.tokenizer()
    for number, text in enumerate(SPECIAL):
        assert tokenizer.encode(text, add_special_tokens=False) == [number]
        assert tokenizer.encode(f"a{text}b", add_special_tokens=False).count(number) == 1
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")


def test_encoding_adds_no_special_token() -> None:
    assert small.tokenizer().encode("a = 1") == small.tokenizer().encode("a = 1", add_special_tokens=False)


def test_line_numbers_are_the_tokens_that_begin_a_line() -> None:
    tokenizer = build(["1| a\n2| b\n12| c", "say 3| d"], 300)
    assert [tokenizer.decode([line]) for line in line_numbers(tokenizer)] == ["\n12| ", "\n2| ", "1| ", "3| "]


def test_the_template_is_chatml() -> None:
    tokenizer = small.tokenizer()
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}, {"role": "user", "content": "s"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert tokenizer.chat_template == CHATML
    assert text == (
        "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nr<|im_end|>\n<|im_start|>user\ns<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("size", [301, 310, 5000])
def test_the_vocabulary_has_at_most_the_given_size(size: int) -> None:
    tokenizer = build((row.question for row in small.rows()), size)
    assert 256 + len(SPECIAL) <= len(tokenizer) <= size
    assert max(tokenizer.get_vocab().values()) == len(tokenizer) - 1


def test_the_same_texts_give_the_same_tokenizer() -> None:
    texts = [row.question for row in small.rows()]
    assert build(texts, 300).get_vocab() == build(iter(texts), 300).get_vocab()


def test_without_texts_the_vocabulary_is_bytes() -> None:
    tokenizer = build([], 400)
    assert len(tokenizer) == 256 + len(SPECIAL)
    assert tokenizer.decode(tokenizer.encode("a = 1")) == "a = 1"


def test_a_saved_tokenizer_gives_the_same_ids(tmp_path: Path) -> None:
    tokenizer = small.tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert (loaded.eos_token_id, loaded.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert loaded.chat_template == CHATML
    for row in small.rows():
        text = row.question + "\n" + row.thought + row.answer + "<|im_end|> é"
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.decode(loaded.encode(text)) == text


def test_digits_capitals_and_one_letter_names_never_merge() -> None:
    tokenizer = build(["1234 1234 ABCD ABCD a = b a = b (a) (a) 99 = a 99 = a x1 x1"] * 50, 5000)
    for text in ("1234", "ABCD", "x1", "a9B"):
        assert tokenizer.tokenize(text) == list(text)
    for text in ("(a)", "[12, 34]", "a = b", "99 = a", '"AB"'):
        assert [token for token in tokenizer.tokenize(text) if token.isalnum() and token.isascii()] == [
            letter for letter in text if letter.isalnum()
        ]
