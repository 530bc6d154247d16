"""The hint waits for a border, the end becomes likelier, and no limit becomes longer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.think.cases import play
from z1.errors import UserError
from z1.think import Bucket, EndBias, Flow, Sample, Shift, SoftLanding, Window

HINT, STOPS = (50, 51), frozenset({99})


def ends_with_9(token_ids: Sequence[int]) -> bool:
    return token_ids[-1] == 9


@pytest.mark.parametrize(
    ("grace", "thought"),
    [(0, 8), (1, 8), (3, 6), (8, 3), (100, 3)],
)
def test_the_hint_is_forced_at_the_first_border_within_the_grace(grace: int, thought: int) -> None:
    window = Window(8, 3, HINT, STOPS, landing=SoftLanding(grace_tokens=grace, is_border=ends_with_9))
    flow = play(window, 1, 2, 9, 3, 4, 9, 5, 6, 7, 8)
    assert (flow.ledger().thought, flow.shift_reason) == (thought, Shift.BUDGET)


def test_a_minimum_comes_before_a_border() -> None:
    landing = SoftLanding(grace_tokens=8, is_border=ends_with_9)
    flow = play(Window(8, 3, HINT, STOPS, min_thinking_tokens=5, landing=landing), 9, 9, 9, 1, 1, 1, 9, 1)
    assert flow.ledger().thought == 7


def test_a_sentence_that_announces_the_end_is_forced_once_at_a_border() -> None:
    landing = SoftLanding(6, 2, wrap_up=(70, 71), is_border=ends_with_9)
    flow = play(Window(10, 3, HINT, STOPS, landing=landing), 9, 9, 1, 1, 1, 9, 9, 1)
    spans = [(span.bucket, span.start, span.end) for span in flow.spans()]
    assert spans[:4] == [(Bucket.THOUGHT, 0, 6), (Bucket.NUDGE, 6, 8), (Bucket.THOUGHT, 8, 9), (Bucket.HINT, 9, 11)]
    assert flow.token_ids[:11] == [9, 9, 1, 1, 1, 9, 70, 71, 9, 50, 51]
    assert play(Window(8, 3, HINT, STOPS, landing=landing), *[1] * 8).ledger().nudge == 0


def test_a_context_that_is_too_short_lands_as_softly() -> None:
    landing = SoftLanding(grace_tokens=4, is_border=ends_with_9)
    flow = play(Window(None, 3, HINT, STOPS, landing=landing), 1, 1, 1, 1, 1, 9, 1, 1, room=13)
    assert (flow.ledger().thought, flow.shift_reason) == (6, Shift.CONTEXT)


def test_the_bias_is_on_the_next_token_of_the_tag_until_it_is_complete() -> None:
    bias = EndBias((7, 7, 8), 10.0, 5, 1)
    assert bias.term([], 0) == (7, 4.0)
    assert bias.term([1, 7], 1) == (7, 6.0)
    assert bias.term([1, 7, 7], 2) == (8, 8.0)
    assert bias.term([7, 7, 7], 2) == (8, 8.0)
    assert bias.term([1, 7, 7, 8], 3) is None
    assert bias.term([1, 7, 7, 8, 3], 1) == (7, 6.0)  # complete before this sample began


def test_tokens_with_a_bias_are_counted_and_sampled_apart() -> None:
    flow = Flow(Window(9, 3, HINT, STOPS, (7,), landing=SoftLanding(4, max_bias=2.0)), 100)
    step = flow.next_step()
    assert isinstance(step, Sample)
    assert (step.max_tokens, step.bias) == (3, None)  # no more than an answer may have
    for count in (3, 2):
        flow.add_tokens([1] * count)
    step = flow.next_step()
    assert isinstance(step, Sample)
    assert step.bias == EndBias((7,), 2.0, 4, 0)
    flow.add_tokens([1, 1, 7])
    assert (flow.ledger().thought, flow.ledger().biased, flow.ledger().close) == (5, 2, 1)


@pytest.mark.parametrize(
    ("name", "values"), [("soft_tokens", (-1, 0, 0.0)), ("grace_tokens", (0, -1, 0.0)), ("max_bias", (0, 0, -1.0))]
)
def test_negative_numbers_are_refused_by_name(name: str, values: tuple[int, int, float]) -> None:
    with pytest.raises(UserError, match=name):
        SoftLanding(*values)
