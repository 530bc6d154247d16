"""Token ids and counts with the per-word cache equal the tokenizer's."""

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
def test_token_ids_equal_the_tokenizers(kind: str, texts: list[str]) -> None:
    made = WordEncoder(tokenizer(kind))
    with mock.patch.object(token_counts, "CHECK_EVERY", 10**9):  # only the first text is checked
        assert made.encode(["", *texts])[1:] == right(kind, texts)


@pytest.mark.parametrize("kind", PRE)
def test_cached_and_whole_texts_in_one_batch(kind: str) -> None:
    texts = ["", "a", "é", "a<|end|>b", "e\u0301 x", *CORPUS]
    assert WordEncoder(tokenizer(kind)).encode(texts) == right(kind, texts)


@pytest.mark.parametrize(("kind", "quick"), [("gpt2", True), ("qwen", True), ("prefixed", False), ("white", False)])
def test_only_tokenizers_with_one_word_pattern_are_cached_by_word(kind: str, quick: bool) -> None:
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
    assert sorted(asked) == [" count", " n", "count", "x", "x"]  # the first text is checked too


def test_the_first_difference_disables_the_cache() -> None:
    made = WordEncoder(tokenizer("gpt2"))
    made._cache = {"a": [0]}  # a wrong entry
    assert made.encode(["a", "a b"]) == right("gpt2", ["a", "a b"])
    assert made._pattern is None


def test_the_cache_is_bounded() -> None:
    made = WordEncoder(tokenizer("gpt2"))
    with mock.patch.object(token_counts, "MAX_CACHED_WORDS", 5):
        for n in range(40):
            made.encode([f"word{n} other{n}"])
            assert len(made._cache) <= 5 + 8
    assert made.encode(["word1 x"]) == right("gpt2", ["word1 x"])


def test_unicode_classes_become_ascii_ranges() -> None:
    assert to_ascii_pattern(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}") == r"[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
    assert to_ascii_pattern(r"\p{Lu}\[\p{L}") == r"\p{Lu}\[[A-Za-z]"


TEXTS = ["", "print(3 + 4)", "é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "print(3 + 4)"]


def test_counts_equal_the_tokenizers() -> None:
    plain = Tokenizer.from_file(str(shipped() / "tokenizer.json"))
    texts = [*TEXTS, *(f"s = {n}" for n in range(BATCH + 3))]
    found = TokenCounter(str(shipped())).count(texts)
    assert found == [len(plain.encode(text, add_special_tokens=False).ids) for text in texts]


def test_a_tokenizers_hash_depends_on_its_content_and_not_on_its_path(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((shipped() / "tokenizer.json").read_bytes())
    assert TokenCounter(str(tmp_path)).hash == TokenCounter(str(shipped() / "tokenizer.json")).hash


def test_an_invalid_tokenizer_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer: got"):
        TokenCounter(str(tmp_path))


def test_a_lone_surrogate_counts_as_the_character_that_replaces_it() -> None:
    counter = TokenCounter(str(shipped()))
    assert counter.count(["a\ud83d", "b"]) == counter.count(["a\ufffd", "b"])
