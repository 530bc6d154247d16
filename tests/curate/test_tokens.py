"""A text has as many tokens as the tokenizer says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from z1.curate.tokens import BATCH, TokenCounter
from z1.errors import UserError
from z1.models import shipped

TEXTS = ["", "print(3 + 4)", "é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "print(3 + 4)"]


def test_the_tokenizers_own_counts() -> None:
    plain = Tokenizer.from_file(str(shipped() / "tokenizer.json"))
    texts = [*TEXTS, *(f"s = {n}" for n in range(BATCH + 3))]
    found = TokenCounter(str(shipped())).sizes(texts)
    assert found == [len(plain.encode(text, add_special_tokens=False).ids) for text in texts]


def test_a_tokenizer_is_known_by_what_it_is_and_not_by_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((shipped() / "tokenizer.json").read_bytes())
    assert TokenCounter(str(tmp_path)).hash == TokenCounter(str(shipped() / "tokenizer.json")).hash


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer: got"):
        TokenCounter(str(tmp_path))
