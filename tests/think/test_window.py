"""The window is a value, and the thought never uses the space reserved for hint and answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.think.cases import play
from z1.errors import Fault, UserError
from z1.think import Closing, Flow, Force, Ledger, Sample, Shift, Window

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


# The closing: 3 is forced before the hint if the thought has an odd number of 1s, or 3 4 if it has none.


def close(token_ids: Sequence[int], begun: int) -> tuple[int, ...]:
    ones = list(token_ids).count(1)
    return (3,) if ones % 2 else () if ones or begun else (3, 4)


WINDOW = Window(4, 3, (5, 6, 7), STOPS)
CLOSING = replace(WINDOW, closing=Closing(2, close))


def test_a_closing_precedes_the_hint_and_counts_as_hint() -> None:
    flow = play(CLOSING, 1, 1, 1, 8, 2, 9)
    assert flow.token_ids == [1, 1, 1, 8, 3, 5, 6, 7, 2, 9]
    assert flow.ledger() == Ledger(thought=4, hint=4, answer=1, stop=1, phase_one=4)


def test_a_thought_with_nothing_open_is_not_closed() -> None:
    flow = play(CLOSING, 1, 1, 1, 1, 2, 9)
    assert flow.token_ids == [1, 1, 1, 1, 5, 6, 7, 2, 9]


def test_a_begun_hint_is_completed_unless_something_is_open() -> None:
    assert play(CLOSING, 8, 8, 5, 6, 2, 9).token_ids == [8, 8, 5, 6, 7, 2, 9]
    open_block = play(CLOSING, 8, 1, 5, 6, 2, 9)
    assert open_block.token_ids == [8, 1, 5, 6, 3, 5, 6, 7, 2, 9]


def test_an_empty_thought_is_not_closed() -> None:
    assert Flow(replace(CLOSING, thinking_budget=0), 100).next_step() == Force((5, 6, 7))
    flow = Flow(CLOSING, 100)
    assert flow.shift(Shift.DEADLINE)
    assert flow.next_step() == Force((5, 6, 7))


def test_the_longest_closing_is_reserved() -> None:
    assert (CLOSING.reserved_tokens, WINDOW.reserved_tokens) == (8, 6)
    assert replace(CLOSING, thinking_budget=0).reserved_tokens == 6
    assert play(CLOSING, *[1] * 99, room=10).ledger().thought == 2


def test_the_hint_that_a_shift_would_force_now_is_known_before() -> None:
    flow = Flow(CLOSING, 100)
    assert flow.forced_hint() == (5, 6, 7)
    flow.add_tokens([8])
    assert flow.forced_hint() == (3, 4, 5, 6, 7)
    assert flow.next_step() == Sample(3)


def test_a_closing_longer_than_reserved_is_a_fault() -> None:
    flow = Flow(replace(WINDOW, closing=Closing(1, close)), 100)
    flow.add_tokens([8])
    with pytest.raises(Fault, match="a closing of 2 tokens, at most 1 were reserved"):
        flow.shift(Shift.CONTROL)


def test_a_hard_cut_has_no_closing() -> None:
    with pytest.raises(UserError, match="remove hint and closing for a hard cut"):
        Window(4, 0, (), STOPS, closing=Closing(2, close))
