"""Words for why a reply ended are one word each, and reading one twice changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.curate.finish_reasons import WORDS, finish_reason


@pytest.mark.parametrize(("reason", "word"), [(reason, word) for reason, words in WORDS.items() for word in words])
def test_every_word_has_one_meaning_in_any_case(reason: str, word: str) -> None:
    assert finish_reason(word) == finish_reason(word.upper()) == finish_reason(f" {word} ") == reason


@given(st.none() | st.booleans() | st.text() | st.integers())
def test_reading_a_reason_again_changes_nothing(value: object) -> None:
    assert finish_reason(finish_reason(value)) == finish_reason(value)
