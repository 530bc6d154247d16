"""Loops are detected, and short repetitions are not loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.think.repetition import MIN_LOOP_TOKENS, has_loop


@given(
    st.lists(st.integers(0, 50), max_size=40), st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(4, 70)
)
def test_a_block_repeated_often_enough_is_a_loop(before: list[int], block: list[int], times: int) -> None:
    written = block * times
    assert has_loop(before + written) or len(written) < MIN_LOOP_TOKENS


@given(st.lists(st.integers(0, 1000), min_size=200, max_size=300, unique=True))
def test_no_repetition_is_no_loop(ids: list[int]) -> None:
    assert not has_loop(ids)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], False),
        ([7] * (MIN_LOOP_TOKENS - 1), False),
        ([7] * MIN_LOOP_TOKENS, True),
        ([*range(30)] * 3, False),
        ([*range(30)] * 4, True),
        ([9, *range(1, 30)] + [*range(30)] * 3, False),
        ([*range(30)] * 4 + [99], False),
        ([*range(257)] * 4, False),
        ([*range(256)] * 4, True),
    ],
)
def test_the_limits_of_a_loop(ids: list[int], expected: bool) -> None:
    assert has_loop(ids) is expected
