"""Lone surrogates are replaced, escaped or hashed, and all other text stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.surrogates import (
    encode_for_hash,
    encode_json,
    escape_surrogates,
    may_have_surrogates,
    replace_in_json,
    replace_surrogates,
)

ANY_TEXT = st.text(st.characters(codec=None))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a\u00e9\U0001f600", "a\u00e9\U0001f600"),
        ("\ud83d", "\ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        ("\x00\ud800\uffff", "\x00\ufffd\uffff"),
    ],
)
def test_pairs_are_joined_and_what_is_left_is_replaced(text: str, expected: str) -> None:
    assert replace_surrogates(text) == expected


@given(ANY_TEXT)
def test_the_result_can_always_be_encoded(text: str) -> None:
    found = replace_surrogates(text)
    found.encode()
    assert replace_surrogates(found) == found
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert found == text


@given(JSON)
def test_a_json_value_is_cleaned_everywhere(value: Any) -> None:
    cleaned = replace_in_json(value)
    json.dumps(cleaned, ensure_ascii=False).encode()
    line = json.dumps(value).encode()
    assert may_have_surrogates(line) or json.loads(line) == cleaned


def test_bytes_of_a_surrogate_are_noticed() -> None:
    line = b'"\xed\xa0\xbd"'  # not UTF-8, but Python's json reads it
    assert may_have_surrogates(line)
    assert replace_in_json(json.loads(line)) == "\ufffd"


@given(ANY_TEXT)
def test_an_escaped_text_can_be_written_and_shows_what_it_held(text: str) -> None:
    found = escape_surrogates(text)
    found.encode()
    assert found == text or any(f"\\u{ord(character):04x}" in found for character in text)


@given(ANY_TEXT)
def test_json_is_escaped_and_read_back(text: str) -> None:
    data = encode_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(data.decode()) == json.loads(json.dumps(text))


@given(ANY_TEXT, ANY_TEXT)
def test_a_hash_tells_texts_apart(one: str, other: str) -> None:
    assert (encode_for_hash(one) == encode_for_hash(other)) == (one == other)
