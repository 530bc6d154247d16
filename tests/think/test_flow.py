"""Edge cases of the flow; its invariants are in `test_invariants.py`.

In these scripts the thought is 1s, the hint 5 6 7, the answer 2s, the stop 9.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.think.cases import WHOLE, play, seen
from z1.errors import Fault, UserError
from z1.think import Bucket, End, Finished, Flow, Force, Ledger, Sample, Shift, Span, Window

STOPS = frozenset({9})
WINDOW = Window(4, 3, (5, 6, 7), STOPS)


def test_a_thought_that_reaches_its_budget_is_shifted() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 2, 9)
    assert flow.token_ids == [1, 1, 1, 1, 5, 6, 7, 2, 9]
    assert (flow.shift_reason, flow.end) == (Shift.BUDGET, End.STOP)
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=1, stop=1, phase_one=4)
    assert flow.spans() == (
        Span(Bucket.THOUGHT, 0, 4),
        Span(Bucket.HINT, 4, 7),
        Span(Bucket.ANSWER, 7, 8),
        Span(Bucket.STOP, 8, 9),
    )


def test_a_thought_that_ends_just_below_its_budget_is_natural() -> None:
    flow = play(WINDOW, 1, 1, 9)
    assert (flow.token_ids, flow.shift_reason, flow.end) == ([1, 1, 9], Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=2, answer=None, stop=1, phase_one=3)


def test_a_thought_that_ends_exactly_at_its_budget_is_natural() -> None:
    flow = play(WINDOW, 1, 1, 1, 9)
    assert (flow.token_ids, flow.shift_reason, flow.end) == ([1, 1, 1, 9], Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=3, answer=None, stop=1, phase_one=4)


def test_a_reply_that_stops_at_once_has_only_a_stop() -> None:
    flow = play(WINDOW, 9)
    assert flow.ledger() == Ledger(answer=None, stop=1, phase_one=1)
    assert (flow.shift_reason, flow.spans()) == (Shift.NATURAL, (Span(Bucket.STOP, 0, 1),))


def test_an_answer_that_stops_at_once_has_0_tokens() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 9)
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=0, stop=1, phase_one=4)


def test_an_answer_that_reaches_its_budget_is_cut() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 2, 2, 2, 2)
    assert (flow.token_ids[-3:], flow.end) == ([2, 2, 2], End.CUT)
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=3, phase_one=4)


def test_an_answer_with_its_stop_at_the_end_of_its_budget_is_not_cut() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 2, 2, 9)
    assert (flow.ledger().answer, flow.end) == (2, End.STOP)


def test_a_budget_of_0_answers_at_once() -> None:
    flow = Flow(replace(WINDOW, thinking_budget=0), 100)
    assert flow.next_step() == Force((5, 6, 7))
    assert flow.shift_reason is Shift.BUDGET
    assert play(replace(WINDOW, thinking_budget=0), 2, 9).ledger() == Ledger(hint=3, answer=1, stop=1)


def test_a_budget_of_0_without_a_hint_samples_the_answer() -> None:
    flow = Flow(Window(0, 3, (), STOPS), 100)
    assert (flow.next_step(), flow.is_answering) == (Sample(3), True)


def test_a_budget_of_1_thinks_one_token() -> None:
    flow = Flow(replace(WINDOW, thinking_budget=1), 100)
    assert flow.next_step() == Sample(1)
    flow.add_tokens([1])
    assert flow.next_step() == Force((5, 6, 7))


def test_an_unlimited_budget_thinks_until_the_context_is_full() -> None:
    flow = play(replace(WINDOW, thinking_budget=None), *[1] * 99, room=20)
    assert (flow.ledger().thought, flow.shift_reason, len(flow.token_ids)) == (14, Shift.CONTEXT, 20)


def test_a_context_smaller_than_the_budget_shifts_for_the_context() -> None:
    assert play(WINDOW, *[1] * 99, room=9).shift_reason is Shift.CONTEXT
    assert play(WINDOW, *[1] * 99, room=9).ledger().thought == 3
    assert play(WINDOW, *[1] * 99, room=10).shift_reason is Shift.BUDGET


def test_too_few_free_tokens_for_hint_and_answer_are_a_user_error() -> None:
    assert Flow(WINDOW, 6).next_step() == Force((5, 6, 7))
    with pytest.raises(UserError):
        Flow(WINDOW, 5)


def test_a_hard_cut_has_no_hint_and_an_answer_of_0() -> None:
    flow = play(Window(4, 0, (), STOPS), *[1] * 9)
    assert (flow.token_ids, flow.end, flow.shift_reason) == ([1] * 4, End.CUT, Shift.BUDGET)
    assert flow.ledger() == Ledger(thought=4, answer=0, phase_one=4)
    assert play(Window(4, 0, (), STOPS), 1, 9).ledger() == Ledger(thought=1, answer=None, stop=1, phase_one=2)


@pytest.mark.parametrize(
    ("thought", "forced"),
    [
        ([1, 1, 1, 5], (6, 7)),
        ([1, 1, 5, 6], (7,)),
        ([1, 5, 6, 7], ()),
        ([5, 1, 6, 7], (5, 6, 7)),
        ([1, 5, 6, 5], (6, 7)),
    ],
)
def test_only_the_missing_part_of_the_hint_is_forced(thought: list[int], forced: tuple[int, ...]) -> None:
    flow = play(WINDOW, *thought, 2, 9)
    assert flow.token_ids == [*thought, *forced, 2, 9]
    assert flow.ledger() == Ledger(thought=4, hint=len(forced), answer=1, stop=1, phase_one=4)
    assert flow.shift_reason is Shift.BUDGET


def test_of_a_hint_that_overlaps_itself_the_longest_written_part_counts() -> None:
    assert play(replace(WINDOW, hint=(5, 5, 6)), 1, 1, 5, 5, 2, 9).token_ids == [1, 1, 5, 5, 6, 2, 9]


def test_a_stop_token_in_a_forced_hint_does_not_end_the_reply() -> None:
    flow = play(replace(WINDOW, hint=(9, 5, 9)), 1, 1, 1, 1, 2, 9)
    assert flow.token_ids == [1, 1, 1, 1, 9, 5, 9, 2, 9]
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=1, stop=1, phase_one=4)


# The fence.

FENCED = Window(6, 4, (5, 6, 7), STOPS, think_end=(3, 4))


@pytest.mark.parametrize("size", [1, 2, WHOLE])
def test_the_models_own_think_end_ends_the_thought(size: int) -> None:
    flow = play(FENCED, 1, 3, 4, 2, 9, size=size)
    assert (flow.token_ids, flow.shift_reason, flow.end) == ([1, 3, 4, 2, 9], Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=1, close=2, answer=1, stop=1, phase_one=5)
    assert flow.ledger().reasoning_tokens == 3


@pytest.mark.parametrize("size", [1, 2, WHOLE])
def test_a_second_think_end_is_part_of_the_answer(size: int) -> None:
    flow = play(FENCED, 3, 4, 2, 3, 4, 9, size=size)
    assert flow.ledger() == Ledger(close=2, answer=3, stop=1, phase_one=6)


def test_a_think_end_at_the_end_of_the_budget_is_natural() -> None:
    flow = play(FENCED, 1, 1, 1, 1, 3, 4, 2, 2, 2, 2)
    assert (flow.shift_reason, flow.end) == (Shift.NATURAL, End.CUT)
    assert flow.ledger() == Ledger(thought=4, close=2, answer=4, phase_one=10)


def test_a_partial_think_end_at_the_budget_is_thought_and_is_completed() -> None:
    flow = play(replace(FENCED, hint=(3, 4, 7)), 1, 1, 1, 1, 1, 3, 2, 9)
    assert flow.token_ids == [1, 1, 1, 1, 1, 3, 4, 7, 2, 9]
    assert flow.ledger() == Ledger(thought=6, hint=2, answer=1, stop=1, phase_one=6)


def test_a_think_end_after_a_shift_is_part_of_the_answer() -> None:
    flow = play(FENCED, *[1] * 6, 3, 4, 2, 9)
    assert flow.ledger() == Ledger(thought=6, hint=3, answer=3, stop=1, phase_one=6)


def test_a_missing_think_end_leaves_no_answer() -> None:
    assert play(FENCED, 1, 3, 9).ledger() == Ledger(thought=2, answer=None, stop=1, phase_one=3)


def test_with_think_tags_no_sample_exceeds_the_answer_budget() -> None:
    assert Flow(FENCED, 100).next_step() == Sample(4)
    assert Flow(replace(FENCED, max_answer_tokens=0, hint=()), 100).next_step() == Sample(1)
    assert Flow(replace(FENCED, thinking_budget=2), 100).next_step() == Sample(2)


# The answer that begins by itself.

DETECTED = Window(6, 4, (5, 6, 7), STOPS)


def test_an_answer_in_progress_at_the_budget_is_not_interrupted() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 1, 1, 1])
    flow.add_tokens([1, 2])
    flow.start_answer(5)
    assert flow.next_step() == Sample(3)
    flow.add_tokens([2, 9])
    assert (flow.shift_reason, flow.end) == (Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=5, answer=2, stop=1, phase_one=8)


def test_an_answer_in_progress_is_cut_at_its_own_budget() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 2, 2, 2])
    flow.start_answer(1)
    assert flow.next_step() == Sample(1)
    flow.add_tokens([2])
    assert flow.next_step() == Finished(End.CUT)
    assert flow.ledger() == Ledger(thought=1, answer=4, phase_one=5)


def test_an_answer_detected_at_the_end_of_its_budget_is_cut_at_once() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([2, 2, 2, 2])
    flow.start_answer(0)
    assert flow.next_step() == Finished(End.CUT)


def test_an_answer_reported_after_the_stop_still_divides_the_reply() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 2, 9])
    flow.start_answer(1)
    assert (flow.end, flow.shift_reason) == (End.STOP, Shift.NATURAL)
    assert flow.ledger() == Ledger(thought=1, answer=1, stop=1, phase_one=3)


def test_an_answer_reported_after_the_end_does_not_change_the_end() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([2, 2, 2, 9])
    flow.start_answer(0)
    assert (flow.end, flow.ledger()) == (End.STOP, Ledger(answer=3, stop=1, phase_one=4))
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([2, 2, 2, 2])
    flow.end = End.ABORTED
    flow.start_answer(0)
    assert (flow.end, flow.ledger()) == (End.ABORTED, Ledger(answer=4, phase_one=4))


@pytest.mark.parametrize("index", [1, 2])
def test_an_answer_reported_at_or_after_the_stop_token_is_empty(index: int) -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 9])
    flow.start_answer(index)
    assert flow.spans() == (Span(Bucket.THOUGHT, 0, 1), Span(Bucket.STOP, 1, 2))
    assert flow.ledger() == Ledger(thought=1, answer=0, stop=1, phase_one=2)


def test_only_the_first_reported_answer_counts() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 2, 2])
    flow.start_answer(1)
    before = seen(flow)
    flow.start_answer(2)
    assert seen(flow) == before


def test_an_answer_reported_once_the_hint_is_due_has_no_effect() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 1])
    assert flow.shift(Shift.DEADLINE)
    flow.start_answer(1)
    assert (flow.next_step(), flow.shift_reason, flow.is_answering) == (Force((5, 6, 7)), Shift.DEADLINE, False)


def test_with_a_detector_no_sample_exceeds_the_answer_budget() -> None:
    assert Flow(DETECTED, 100, detects_answer=True).next_step() == Sample(4)
    assert Flow(DETECTED, 100).next_step() == Sample(6)


@pytest.mark.parametrize("window", [Window(6, 0, (), STOPS), FENCED])
def test_a_hard_cut_and_think_tags_ignore_a_detector(window: Window) -> None:
    flow, plain = Flow(window, 100, detects_answer=True), Flow(window, 100)
    assert flow.next_step() == plain.next_step()
    for told in (flow, plain):
        told.add_tokens([1, 1])
    flow.start_answer(1)
    assert seen(flow) == seen(plain)
    assert not flow.is_answering


def test_undecided_tokens_shorten_the_next_sample() -> None:
    """Otherwise an answer that is detected late could exceed its budget: a marker often spans two samples."""
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 1, 2])
    flow.set_undecided_tokens(1)
    assert flow.next_step() == Sample(3)
    flow.set_undecided_tokens(2)
    assert flow.next_step() == Sample(2)
    flow.set_undecided_tokens(0)
    assert flow.next_step() == Sample(3)
    flow.set_undecided_tokens(9)
    assert flow.next_step() == Sample(1)


def test_an_answer_detected_past_its_budget_starts_that_much_later() -> None:
    flow = Flow(DETECTED, 100, detects_answer=True)
    flow.add_tokens([1, 1, 1])
    flow.add_tokens([1, 1])
    flow.start_answer(0)
    assert flow.ledger() == Ledger(thought=1, answer=4, phase_one=5)
    assert flow.next_step() == Finished(End.CUT)


# Misuse.


def test_more_tokens_than_requested_are_a_fault() -> None:
    flow = Flow(WINDOW, 100)
    with pytest.raises(Fault, match="expected at most 4 tokens, got 5"):
        flow.add_tokens([1] * 5)
    flow.add_tokens([1] * 4)
    flow.add_tokens((5, 6, 7))
    with pytest.raises(Fault, match="expected at most 3 tokens, got 4"):
        flow.add_tokens([2] * 4)


@pytest.mark.parametrize("ids", [(), (5, 6), (5, 6, 7, 2), (5, 6, 6)])
def test_other_tokens_than_the_forced_ones_are_a_fault(ids: tuple[int, ...]) -> None:
    flow = Flow(replace(WINDOW, thinking_budget=0), 100)
    with pytest.raises(Fault, match="forced"):
        flow.add_tokens(ids)
    assert flow.token_ids == []
    flow.add_tokens([5, 6, 7])
    assert flow.is_answering


def test_tokens_after_a_stop_token_are_a_fault() -> None:
    flow = Flow(WINDOW, 100)
    with pytest.raises(Fault, match="after a stop token"):
        flow.add_tokens([1, 9, 1])
    with pytest.raises(Fault, match="expected at most 0 tokens, got 1"):
        flow.add_tokens([1])


@pytest.mark.parametrize("index", [-1, 3])
def test_an_answer_outside_the_reply_is_a_fault(index: int) -> None:
    flow = Flow(WINDOW, 100, detects_answer=True)
    flow.add_tokens([1, 1])
    with pytest.raises(Fault, match=f"cannot start at {index} of 2 tokens"):
        flow.start_answer(index)
    assert not flow.is_answering


@pytest.mark.parametrize("index", [0, 2])
def test_an_answer_may_start_at_either_end_of_the_reply(index: int) -> None:
    flow = Flow(WINDOW, 100, detects_answer=True)
    flow.add_tokens([1, 1])
    flow.start_answer(index)
    assert flow.is_answering
    assert flow.ledger() == Ledger(thought=index, answer=2 - index, phase_one=2)


def test_tokens_of_a_possible_think_end_or_answer_are_undecided() -> None:
    flow = Flow(Window(50, 10, (1,), frozenset({0}), think_end=(7, 8, 7)), 100)
    for token, unsure in ((5, 0), (7, 1), (8, 2), (8, 0), (7, 1), (8, 2), (7, 0)):
        flow.add_tokens((token,))
        assert flow.undecided_tokens == unsure
    assert flow.is_answering
    told = Flow(Window(50, 10, (1,), frozenset({0})), 100, detects_answer=True)
    told.add_tokens((5, 6))
    told.set_undecided_tokens(2)
    assert told.undecided_tokens == 2


def test_a_minimum_forbids_stop_tokens_and_think_end_until_it_is_reached() -> None:
    flow = Flow(Window(9, 4, (7,), frozenset({3}), think_end=(5, 6), min_thinking_tokens=2), 100)
    assert flow.next_step() == Sample(
        3, ((3,), (5, 6))
    )  # a think end tag may start before the minimum and end after it
    flow.add_tokens([1, 5, 1])
    assert flow.next_step() == Sample(4)
    flow.add_tokens([5, 6])
    assert (flow.shift_reason, flow.ledger().thought) == (Shift.NATURAL, 3)


def test_an_end_before_the_minimum_is_a_fault() -> None:
    for ids in ([3], [1, 5, 6]):
        with pytest.raises(Fault, match="before the minimum"):
            Flow(Window(9, 4, (7,), frozenset({3}), think_end=(5, 6), min_thinking_tokens=2), 100).add_tokens(ids)


def test_no_answer_starts_before_the_minimum_and_a_shift_lifts_it() -> None:
    flow = Flow(Window(9, 4, (7,), frozenset({3}), min_thinking_tokens=4), 100, detects_answer=True)
    flow.add_tokens([1, 1, 1])
    flow.start_answer(1)
    assert flow.shift_reason is None
    assert flow.shift(Shift.CONTROL)
    flow.add_tokens([7])
    assert flow.next_step() == Sample(4)
    flow.add_tokens([3])
    assert flow.end is End.STOP


def test_with_a_budget_of_0_the_minimum_is_that_of_the_reply() -> None:
    flow = Flow(Window(0, 9, (), frozenset({3}), min_thinking_tokens=2), 100)
    assert flow.next_step() == Sample(2, ((3,),))
    flow.add_tokens([1, 1])
    assert flow.next_step() == Sample(7)
