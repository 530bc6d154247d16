"""The ids of a text are the tokenizer's own, however they were found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from z1.curate import token_counts
from z1.curate.token_counts import BATCH, TokenCounter, WordEncoder, to_ascii_pattern, word_pattern
from z1.errors import UserError
from z1.models import shipped

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

PRE: dict[str, Any] = {
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "qwen": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
    "prefixed": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "white": pre_tokenizers.Whitespace(),
}

CORPUS = [
    "def f(x):\n    return x + 12\n\n\nIt's the sum, isn't it?  We'LL see...\r\n",
    "while n: n -= 1  # \t count",
] * 9


@cache
def tokenizer(kind: str) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = PRE[kind]
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    return made


def right(kind: str, texts: list[str]) -> list[list[int]]:
    return [tokenizer(kind).encode(text, add_special_tokens=False).ids for text in texts]


ANY = st.one_of(
    st.text(st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1f\x00abcXYZ019'slLtTvVeEdDmM.,(){}<|_-"), max_size=40),
    st.text(max_size=20),
    st.sampled_from(["<|end|>", "a<|end|>b", "é", "e\u0301", *CORPUS]),
)


@pytest.mark.parametrize("kind", ["gpt2", "qwen"])
@given(texts=st.lists(ANY, max_size=6))
def test_ids_are_those_of_the_tokenizer(kind: str, texts: list[str]) -> None:
    made = WordEncoder(tokenizer(kind))
    with mock.patch.object(token_counts, "CHECK_EVERY", 10**9):  # nothing but the first is looked at twice
        assert made.encode(["", *texts])[1:] == right(kind, texts)


@pytest.mark.parametrize("kind", PRE)
def test_texts_of_all_kinds_beside_one_another(kind: str) -> None:
    texts = ["", "a", "é", "a<|end|>b", "e\u0301 x", *CORPUS]
    assert WordEncoder(tokenizer(kind)).encode(texts) == right(kind, texts)


@pytest.mark.parametrize(("kind", "quick"), [("gpt2", True), ("qwen", True), ("prefixed", False), ("white", False)])
def test_only_tokenizers_that_part_by_one_pattern_go_by_words(kind: str, quick: bool) -> None:
    facts = json.loads(tokenizer(kind).to_str())
    assert (word_pattern(facts) is not None) == quick
    facts["normalizer"] = {"type": "Lowercase"}
    assert word_pattern(facts) is None


def test_a_word_is_encoded_once() -> None:
    made = WordEncoder(tokenizer("gpt2"))
    asked: list[str] = []
    ask = made._encode_whole

    def listening(texts: list[str]) -> list[list[int]]:
        asked.extend(texts)
        return ask(texts)

    with mock.patch.object(made, "_encode_whole", listening):
        made.encode(["x", "count n n n", "count n count"])
    assert sorted(asked) == [" count", " n", "count", "x", "x"]  # the first text is looked at twice


def test_the_first_difference_ends_it() -> None:
    made = WordEncoder(tokenizer("gpt2"))
    made._cache = {"a": [0]}  # a wrong word
    assert made.encode(["a", "a b"]) == right("gpt2", ["a", "a b"])
    assert made._pattern is None


def test_words_kept_are_bounded() -> None:
    made = WordEncoder(tokenizer("gpt2"))
    with mock.patch.object(token_counts, "MAX_CACHED_WORDS", 5):
        for n in range(40):
            made.encode([f"word{n} other{n}"])
            assert len(made._cache) <= 5 + 8
    assert made.encode(["word1 x"]) == right("gpt2", ["word1 x"])


def test_letters_and_numbers_in_ascii() -> None:
    assert to_ascii_pattern(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}") == r"[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
    assert to_ascii_pattern(r"\p{Lu}\[\p{L}") == r"\p{Lu}\[[A-Za-z]"


TEXTS = ["", "print(3 + 4)", "é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "print(3 + 4)"]


def test_the_tokenizers_own_counts() -> None:
    plain = Tokenizer.from_file(str(shipped() / "tokenizer.json"))
    texts = [*TEXTS, *(f"s = {n}" for n in range(BATCH + 3))]
    found = TokenCounter(str(shipped())).count(texts)
    assert found == [len(plain.encode(text, add_special_tokens=False).ids) for text in texts]


def test_a_tokenizer_is_known_by_what_it_is_and_not_by_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((shipped() / "tokenizer.json").read_bytes())
    assert TokenCounter(str(tmp_path)).hash == TokenCounter(str(shipped() / "tokenizer.json")).hash


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer: got"):
        TokenCounter(str(tmp_path))
