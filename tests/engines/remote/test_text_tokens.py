"""Text in pieces becomes the tokens of the whole text, at once."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from z1 import profiles
from z1.engines.remote.text_tokens import TextTokens
from z1.engines.scripted import Characters
from z1.model_files import load_tokenizer
from z1.models import shipped

WORDS = st.text(st.sampled_from("aeo nst=+34\n<>/|é語🙂\u2028"), max_size=40)
TAG = "</think>"


@cache
def tokenizer() -> Any:
    return load_tokenizer(str(shipped()))


def encoder(controls: tuple[str, ...] = (), before: str = "") -> TextTokens:
    own = tokenizer()
    return TextTokens(own, profiles.token_bytes(own), controls, own.encode(before, add_special_tokens=False))


def fed(pieces: list[str], controls: tuple[str, ...] = (), before: str = "") -> list[int]:
    tokens = encoder(controls, before)
    return [token for piece in pieces for token in tokens.feed(piece)] + tokens.flush()


def text_of(token_ids: list[int]) -> str:
    return b"".join(map(profiles.token_bytes(tokenizer()), token_ids)).decode()


@given(WORDS, st.lists(st.integers(1, 9), max_size=30), WORDS)
def test_the_tokens_have_the_text_however_it_is_split(text: str, sizes: list[int], before: str) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    pieces.append(text[at:])
    assert text_of(fed(pieces, (TAG,), before)) == text


@given(WORDS)
def test_pieces_of_one_token_are_the_tokens_of_the_whole_text(text: str) -> None:
    own = tokenizer()
    token_ids = own.encode(text, add_special_tokens=False)
    decoder = profiles.token_bytes(own)
    pieces, held = [], b""
    for token in token_ids:  # servers hold a character back until it is complete
        held += decoder(token)
        try:
            pieces.append(held.decode())
        except UnicodeDecodeError:
            continue
        held = b""
    assert fed(pieces) == token_ids


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_tag_keeps_its_tokens_however_it_is_split(first: int, second: int) -> None:
    text, own = f"so{TAG}\n\n7", tokenizer()
    tag = own.encode(TAG, add_special_tokens=False)
    cuts = sorted((first, second))
    token_ids = fed([text[: cuts[0]], text[cuts[0] : cuts[1]], text[cuts[1] :]], (TAG,))
    assert any(token_ids[at : at + len(tag)] == tag for at in range(len(token_ids)))
    assert text_of(token_ids) == text


def test_a_piece_becomes_tokens_at_once_unless_it_may_be_part_of_a_tag() -> None:
    tokens = encoder((TAG,))
    assert text_of(tokens.feed("so a ")) == "so a "
    assert tokens.feed("</th") == []
    assert text_of(tokens.feed("e 3")) == "</the 3"
    assert text_of(tokens.feed("4</")) == "4"
    assert text_of(tokens.flush()) == "</"


def test_halves_of_a_character_are_joined_and_a_lonely_half_is_replaced() -> None:
    tokens = TextTokens(Characters(), profiles.token_bytes(Characters()))
    assert tokens.feed("a\ud83d") == [97]
    assert tokens.feed("\ude42b") == [0x1F642, 98]
    assert tokens.feed("\ude42\ud83d") == [0xFFFD]
    assert tokens.flush() == [0xFFFD]
