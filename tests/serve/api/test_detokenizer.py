"""Is text told as soon as it is sure, and never otherwise than in one piece?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from z1.profiles import before
from z1.serve.api.detokenizer import Detokenizer


def byte(token: int) -> bytes:
    return bytes([token])


@given(
    st.text(alphabet="ab–🙂STOP", max_size=30),
    st.lists(st.integers(1, 4), max_size=30),
    st.lists(st.sampled_from(["STOP", "b", "OP🙂", "aa"]), max_size=2),
)
def test_however_it_is_split_it_adds_up_to_what_stands_before_a_stop(
    text: str, sizes: list[int], strings: list[str]
) -> None:
    ids = list(text.encode())
    shown = Detokenizer(byte, strings)
    said = ""
    for size in sizes:
        said += shown.came(ids[:size])
        ids = ids[size:]
        assert before(text, strings).startswith(said)
    assert said + shown.came(ids) + shown.end() == before(text, strings)


def test_a_character_waits_until_it_is_whole() -> None:
    shown = Detokenizer(byte)
    first, *rest = "🙂".encode()
    assert shown.came([first]) == ""
    assert shown.came(rest) == "🙂"


def test_half_a_character_at_the_end_is_shown_as_what_it_is() -> None:
    shown = Detokenizer(byte)
    assert shown.came("🙂".encode()[:2]) == ""
    assert shown.end() == "\ufffd"


def test_what_may_become_a_stop_string_waits_and_nothing_else() -> None:
    shown = Detokenizer(byte, ["END"])
    assert shown.came(b"so EN") == "so "
    assert shown.came(b"T") == "ENT"
    assert shown.came(b" E") == " "
    assert shown.end() == "E"
