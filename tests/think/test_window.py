"""The window is a value, and the thought never uses the space reserved for hint and answer."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.errors import UserError
from z1.think import Window

LAW = settings(max_examples=120, deadline=None, derandomize=True)
STOPS = frozenset({9})
COUNTS = st.integers(0, 50)
HINTS = st.lists(st.integers(0, 9), max_size=5).map(tuple)


@given(thinking=st.none() | COUNTS, answer=st.integers(1, 50), hint=HINTS, room=st.integers(0, 120))
@LAW
def test_the_effective_budget_is_the_largest_that_leaves_space_for_hint_and_answer(
    thinking: int | None, answer: int, hint: tuple[int, ...], room: int
) -> None:
    window = Window(thinking, answer, hint, STOPS)
    fits = [n for n in range(room + 1) if n + len(hint) + answer <= room and (thinking is None or n <= thinking)]
    if fits:
        assert window.effective_budget(room) == max(fits)
    else:
        with pytest.raises(UserError):
            window.effective_budget(room)


def test_the_error_for_too_few_free_tokens() -> None:
    with pytest.raises(UserError, match=r"got 6 free tokens for 7; lower max_answer_tokens") as caught:
        Window(None, 5, (1, 2), STOPS).effective_budget(6)
    assert caught.value.what == "space for hint and answer"


def test_space_for_exactly_hint_and_answer_leaves_no_thought() -> None:
    assert Window(None, 5, (1, 2), STOPS).effective_budget(7) == 0
    assert Window(3, 5, (1, 2), STOPS).effective_budget(7) == 0


def test_an_impossible_minimum_is_rejected() -> None:
    for thinking, minimum in ((5, 6), (0, 6), (None, -1)):
        with pytest.raises(UserError, match="min_thinking_tokens"):
            Window(thinking, 5, (), STOPS, min_thinking_tokens=minimum)
    assert Window(None, 5, (), STOPS, min_thinking_tokens=4).effective_budget(9) == 4
    with pytest.raises(UserError, match=r"got 3 free tokens for 4"):
        Window(None, 5, (), STOPS, min_thinking_tokens=4).effective_budget(8)
    assert Window(0, 5, (), STOPS, min_thinking_tokens=4).effective_budget(5) == 0


def test_reserved_tokens_are_hint_and_answer() -> None:
    assert Window(100, 5, (1, 2), STOPS).reserved_tokens == 7
    assert Window(100, 0, (), STOPS).reserved_tokens == 0


@pytest.mark.parametrize(
    ("thinking", "answer", "hint", "what", "got"),
    [
        (-1, 5, (1,), "thinking_budget", -1),
        (4, -1, (), "max_answer_tokens", -1),
        (4, 0, (1,), "max_answer_tokens", 0),
    ],
)
def test_an_impossible_window_is_a_user_error(
    thinking: int, answer: int, hint: tuple[int, ...], what: str, got: int
) -> None:
    with pytest.raises(UserError) as caught:
        Window(thinking, answer, hint, STOPS)
    assert (caught.value.what, caught.value.got) == (what, got)


def test_valid_zeros_are_accepted() -> None:
    assert Window(0, 1, (1,), STOPS).effective_budget(100) == 0
    assert Window(4, 0, (), STOPS).effective_budget(100) == 4
    assert Window(0, 0, (), STOPS).effective_budget(0) == 0


def test_a_window_is_a_value() -> None:
    window = Window(4, 2, (1,), STOPS, (7, 8))
    assert window == Window(4, 2, (1,), frozenset({9}), (7, 8))
    assert len({window, Window(4, 2, (1,), STOPS, (7, 8)), Window(4, 2, (1,), STOPS)}) == 2
    with pytest.raises(FrozenInstanceError):
        window.max_answer_tokens = 3  # type: ignore[misc]
