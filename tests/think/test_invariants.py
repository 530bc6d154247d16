"""The invariants of the flow, tested with models that sample hashes of their context."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.think.cases import SIZES, Case, begin, begun, cases, drive, rounds, seen, string_ends, two_pass
from z1.think import Bucket, End, Finished, Force, Sample, Shift

LAW = settings(max_examples=150, deadline=None, derandomize=True)
HARD_LAW = settings(LAW, max_examples=500)


@given(case=cases(), sizes=SIZES)
@HARD_LAW
def test_chunks_any_split_of_the_same_tokens_gives_the_same_reply_and_ledger(case: Case, sizes: list[int]) -> None:
    whole = seen(drive(case))
    assert seen(drive(case, sizes)) == whole
    assert seen(drive(case, [1])) == whole


@given(case=cases())
@HARD_LAW
def test_agreement_with_a_plain_two_pass_reference(case: Case) -> None:
    flow = drive(case)
    event(f"{flow.end}, shifted by {flow.shift_reason}")
    assert (flow.token_ids, flow.ledger()) == two_pass(case)


@given(case=cases(fence=False, markers=False, steered=False))
@LAW
def test_agreement_a_shift_equals_a_smaller_budget(case: Case) -> None:
    at = 3 if case.shift_at is None else case.shift_at
    thinking = min(at, case.most_thought)
    least = (
        case.window.min_thinking_tokens
        if case.window.thinking_budget == 0
        else min(case.window.min_thinking_tokens, thinking)
    )
    smaller = replace(
        case, shift_at=None, window=replace(case.window, thinking_budget=thinking, min_thinking_tokens=least)
    )
    shifted, plain = drive(replace(case, shift_at=at)), drive(smaller)
    assert (shifted.token_ids, shifted.spans(), shifted.end) == (plain.token_ids, plain.spans(), plain.end)


@given(case=cases(), sizes=SIZES)
@HARD_LAW
def test_limits_thought_and_answer_stay_within_their_budgets(case: Case, sizes: list[int]) -> None:
    flow = begin(case)
    for _ in rounds(case, flow, sizes):
        used = flow.ledger()
        assert used.thinking_tokens + (used.stop if used.answer is None else 0) <= case.most_thought
        assert (used.answer or 0) + (0 if used.answer is None else used.stop) <= case.window.max_answer_tokens


@given(case=cases(steered=False))
@LAW
def test_limits_the_forced_tokens_are_closing_and_hint_or_the_end_of_the_hint(case: Case) -> None:
    flow, forced = begin(case), list[tuple[int, ...]]()
    for step in rounds(case, flow):
        if isinstance(step, Force):
            forced.append(step.token_ids)
            assert tuple(flow.token_ids[-len(step.token_ids) :]) == step.token_ids
            thought, closing = flow.token_ids[: -len(step.token_ids)], case.window.closing
            written = begun(thought, case.window.hint)
            closed = closing.close(thought, written) if closing and thought else ()
            assert step.token_ids == ((*closed, *case.window.hint) if closed else case.window.hint[written:])
    hints = [tuple(flow.token_ids[span.start : span.end]) for span in flow.spans() if span.bucket is Bucket.HINT]
    assert hints == forced
    assert len(forced) <= 1


@given(case=cases(), sizes=SIZES)
@LAW
def test_total_is_at_most_budget_closing_hint_and_answer_and_the_free_tokens(case: Case, sizes: list[int]) -> None:
    flow = begin(case)
    for _ in rounds(case, flow, sizes):
        assert len(flow.token_ids) <= case.room
        if case.window.thinking_budget is not None:
            assert (
                len(flow.token_ids)
                <= case.window.thinking_budget + case.window.max_hint_tokens + case.window.max_answer_tokens
            )


@given(case=cases(), sizes=SIZES)
@LAW
def test_progress_every_step_adds_a_token_and_the_reply_ends(case: Case, sizes: list[int]) -> None:
    flow, before = begin(case), 0
    for step in rounds(case, flow, sizes):
        assert step.token_ids if isinstance(step, Force) else step.max_tokens > 0
        assert len(flow.token_ids) > before or flow.end is End.STRING
        before = len(flow.token_ids)
    assert flow.end in (End.STOP, End.STRING, End.CUT, End.REPETITION)
    assert flow.next_step() == Finished(flow.end)


@given(case=cases(fence=False, markers=False, steered=False))
@LAW
def test_progress_a_reply_takes_two_samples_and_one_hint(case: Case) -> None:
    case = replace(case, shift_at=None, strings=())
    steps = list(rounds(case, begin(case)))
    kinds = [type(step) for step in steps]
    at_the_minimum = next((n for n, step in enumerate(steps) if isinstance(step, Sample) and step.forbidden), None)
    if at_the_minimum is not None and kinds[at_the_minimum + 1 :][:1] == [Sample]:
        del kinds[at_the_minimum]
    assert kinds in ([], [Sample], [Force, Sample], [Sample] * 2, [Sample, Force, Sample])


@given(case=cases(), sizes=SIZES)
@HARD_LAW
def test_minimum_no_thought_ends_by_itself_before_it(case: Case, sizes: list[int]) -> None:
    """Nor does a reply with a budget of 0. A shift by the caller lifts the minimum."""
    least, flow = case.window.min_thinking_tokens, drive(case, sizes)
    event(f"{least > 0}, shifted by {flow.shift_reason}")
    if case.window.thinking_budget == 0:
        assert len(flow.token_ids) > least or flow.end is not End.STOP
    elif flow.shift_reason is Shift.NATURAL:
        assert flow.ledger().thinking_tokens - flow.ledger().close >= least
    elif flow.shift_reason is Shift.CONTROL:
        assert flow.ledger().thinking_tokens <= (case.shift_at or 0)


@given(case=cases(), stop_after=st.integers(0, 12), peek=st.booleans(), why=st.sampled_from(list(Shift)[3:]))
@LAW
def test_a_shift_acts_once_and_only_in_the_thought(case: Case, stop_after: int, peek: bool, why: Shift) -> None:
    flow = begin(case)
    for count, _ in enumerate(rounds(replace(case, shift_at=None), flow, [1])):
        if count == stop_after:
            break
    thinking = flow.end is None and not flow.is_answering
    if peek:
        thinking = isinstance(flow.next_step(), Sample) and not flow.is_answering
    reason = flow.shift_reason
    used = flow.ledger() if thinking else seen(flow)
    event(f"acts: {thinking}")
    assert flow.shift(why) is thinking
    if thinking:
        assert flow.shift_reason is why
        assert flow.ledger().thinking_tokens == len(flow.token_ids)
    else:
        assert (flow.shift_reason, seen(flow)) == (reason, used)
    after = seen(flow)
    assert flow.shift(Shift.DEADLINE) is False
    assert seen(flow) == after


@given(case=cases(), sizes=SIZES)
@HARD_LAW
def test_a_stop_string_ends_an_answer_and_never_a_thought(case: Case, sizes: list[int]) -> None:
    """The reply is a prefix of the one without stop strings, up to the token that completes one in its answer."""
    flow, plain = drive(case, sizes), drive(replace(case, strings=()))
    event(f"{flow.end}")
    answer = [
        token
        for span in plain.spans()
        if span.bucket is Bucket.ANSWER
        for token in plain.token_ids[span.start : span.end]
    ]
    cut = string_ends(case, answer)
    if cut is None:
        assert seen(flow) == seen(plain)
    else:
        assert flow.end is End.STRING
        assert flow.ledger().answer == cut
        assert flow.token_ids == plain.token_ids[: len(flow.token_ids)]
