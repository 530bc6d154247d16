"""Words of an upstream lose their secrets and fit on a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.engines.remote.redaction import MAX_WORDS, REMOVED, redact, short_line


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF0123456789",
        "sk-ant-api03-AbCd_efgh-1234567",
        "gsk_a1b2c3d4e5f6g7h8",
        "hf_AbCdEfGhIjKlMn",
        "AIzaSyA1b2c3d4e5f6g7h8i9j0",
        "nvapi-a1b2c3d4e5f6",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOi.eyJzdWIi.SflKxw",
        "sk-ab**********wxyz",
    ],
)
@pytest.mark.parametrize(
    "words",
    ["Incorrect API key provided: {}.", "{}", "key={}&x=1", 'header "Authorization: Bearer {}"', "got '{}' here"],
)
def test_what_looks_like_a_key_is_removed(words: str, secret: str) -> None:
    assert secret not in redact(words.format(secret))
    assert REMOVED in redact(words.format(secret))


def test_passwords_tokens_and_headers_are_removed() -> None:
    for text, kept in {
        "https://me:pass@host/v1": "https://[removed]host/v1",
        "Authorization: Basic bWU6cGFzcw==": "Authorization: Basic [removed]",
        '{"api_key": "short"}': '{"api_key": [removed]"}',
        "x-api-key: short": "x-api-key: [removed]",
        "password=hunter2, user me": "password=[removed], user me",
        "GET /v1?key=abc&n=2": "GET /v1?key=[removed]&n=2",
    }.items():
        assert redact(text).replace('"[', "[") == kept.replace('"[', "[")


def test_the_operators_key_is_removed_whatever_it_looks_like() -> None:
    assert redact("no my dog", ("my dog",)) == "no [removed]"


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
        "Rate limit reached for gpt-4o-mini in organization on tokens per min: limit 60000, used 59000",
        "max_tokens: 70000 is too large; the token count of the prompt is 9",
        "skipping the skeleton; unexpected token < in JSON at position 0",
        "request id 8f14e45f-ceea-467f-a8d5-1f2e3a4b5c6d",
        "The model `deepseek-ai/DeepSeek-R1-Distill-Qwen-32B` does not exist",
    ],
)
def test_ordinary_words_stay(words: str) -> None:
    assert redact(words) == words


@given(st.text(max_size=900))
def test_a_line_is_short_and_printable(text: str) -> None:
    line = short_line(text)
    assert len(line) <= MAX_WORDS and len(line.splitlines()) <= 1
    assert all(character.isprintable() for character in line)
