"""The answer detector: the same start for any chunks, and never before its undecided tokens."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.think import AnswerDetector

LAW = settings(max_examples=150, deadline=None, derandomize=True)
PIECES = (b"a", b"b", b"ab", b"ba", b"", b"xaby", b"\xc3", b"\xa9", b"a\xc3", b"c")
IDS = st.integers(0, 2**48).map(lambda seed: ids_of(Random(seed)))
MARKERS = st.integers(0, 2**48).map(lambda seed: markers_of(Random(seed)))


def ids_of(random: Random) -> list[int]:
    return random.choices(range(random.randint(1, len(PIECES))), k=random.randint(0, 25))


def markers_of(random: Random) -> list[bytes]:
    """Some span tokens, some start or end inside a token."""
    texts = [b"".join(random.choices(PIECES, k=random.randint(1, 5))) for _ in range(random.randint(0, 3))]
    return [text[random.randint(0, 1) :] or b"a" for text in texts]


def piece(token: int) -> bytes:
    return PIECES[token]


def detector(*markers: bytes) -> AnswerDetector:
    return AnswerDetector(markers, piece)


def plain_search(ids: Sequence[int], markers: Sequence[bytes]) -> int | None:
    """The token with the first byte of the first marker that is complete."""
    text, owners = b"", list[int]()
    for index, token in enumerate(ids):
        text += piece(token)
        owners += [index] * len(piece(token))
        found = [text.index(marker) for marker in markers if marker in text]
        if found:
            return owners[min(found)]
    return None


@given(ids=IDS, markers=MARKERS)
@LAW
def test_the_start_is_that_of_a_plain_search_of_the_whole_text(ids: list[int], markers: list[bytes]) -> None:
    watch = detector(*markers)
    assert watch.feed(ids) == watch.answer_start == plain_search(ids, markers)


@given(ids=IDS, markers=MARKERS, sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5))
@LAW
def test_chunks_any_split_of_the_same_tokens_gives_the_same_index(
    ids: list[int], markers: list[bytes], sizes: list[int]
) -> None:
    whole, split = detector(*markers), detector(*markers)
    whole.feed(ids)
    at = 0
    for size in sizes:
        split.feed(ids[at : at + size])
        at += size
    split.feed(ids[at:])
    assert (split.answer_start, split.undecided_tokens) == (whole.answer_start, whole.undecided_tokens)


@given(ids=IDS, markers=MARKERS)
@LAW
def test_an_answer_never_starts_before_the_undecided_tokens(ids: list[int], markers: list[bytes]) -> None:
    begins_at = detector(*markers).feed(ids)
    watch = detector(*markers)
    for count, token in enumerate(ids):
        if watch.answer_start is None and begins_at is not None:
            assert begins_at >= count - watch.undecided_tokens
        watch.feed([token])


@given(ids=IDS, markers=MARKERS)
@LAW
def test_undecided_tokens_are_minimal(ids: list[int], markers: list[bytes]) -> None:
    """The rest of some marker would start the answer at the first undecided token."""
    watch = detector(*markers)
    watch.feed(ids)
    assert 0 <= watch.undecided_tokens <= len(ids)
    if watch.answer_start is None and watch.undecided_tokens:
        first = len(ids) - watch.undecided_tokens
        text = b"".join(map(piece, ids[first:]))
        ends = [text[start:] for start in range(len(piece(ids[first])))]
        assert any(marker.startswith(end) for marker in markers for end in ends)


@pytest.mark.parametrize(
    ("marker", "ids", "begins_at"),
    [
        (b"aba", [9, 0, 1, 0, 9], 1),  # across several tokens
        (b"ab", [9, 9, 5, 9], 2),  # inside one token
        (b"abab", [0, 1, 0, 0, 1, 0, 1], 3),  # started, broken off, started again
        (b"abab", [1, 0, 1, 0, 1], 1),  # overlaps itself
        (b"aab", [0, 0, 0, 1], 1),  # its own prefix repeated
        ("é".encode(), [9, 6, 7], 1),  # a character across two tokens
        ("é".encode(), [6, 6, 7], 1),  # half a character, then a whole one
        ("é".encode(), [8, 7], 0),  # the token has more than the marker's first byte
        (b"ab", [0, 4, 4, 1], 0),  # tokens without text inside
        (b"ab", [4, 2], 1),  # a token without text before
        (b"abc", [0, 1, 0, 1], None),  # never completed
        (b"cc", [9, 0, 9], None),  # broken off
    ],
)
def test_the_answer_starts_at_the_token_with_the_markers_first_byte(
    marker: bytes, ids: list[int], begins_at: int | None
) -> None:
    assert detector(marker).feed(ids) == begins_at


def test_of_several_markers_the_first_complete_one_counts() -> None:
    assert detector(b"cab", b"ba").feed([9, 0, 1, 0]) == 0
    assert detector(b"abac", b"ba").feed([0, 1, 0, 9]) == 1
    assert detector(b"y", b"ab").feed([9, 5]) == 1


def test_of_two_markers_in_one_token_the_earlier_one_counts() -> None:
    assert detector(b"by", b"cxa").feed([0, 9, 5]) == 1


def test_a_detected_start_does_not_change() -> None:
    watch = detector(b"ab")
    assert watch.feed([2]) == 0
    assert watch.feed([9, 2, 0]) == 0
    assert watch.undecided_tokens == 0


def test_undecided_tokens_are_tokens_not_bytes() -> None:
    watch = detector(b"xabyab")
    assert watch.undecided_tokens == 0
    seen = []
    for token in [9, 5, 4, 0, 9]:
        watch.feed([token])
        seen.append(watch.undecided_tokens)
    assert seen == [0, 1, 2, 3, 0]


def test_without_markers_nothing_is_detected_or_undecided() -> None:
    watch = detector()
    assert watch.feed([0, 1, 2, 3]) is None
    assert watch.undecided_tokens == 0


@given(ids=IDS, markers=MARKERS, start=st.integers(0, 25))
@LAW
def test_tokens_before_the_start_are_skipped(ids: list[int], markers: list[bytes], start: int) -> None:
    found = AnswerDetector(markers, piece, start).feed(ids)
    behind = plain_search(ids[start:], [marker for marker in markers if marker])
    assert found == (None if behind is None else start + behind)
