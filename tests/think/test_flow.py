"""The laws of the flow, held against hashing models that do whatever they like, and its borders one by one.

A *case* is a window, a room, a model (the next id is a keyed hash of all ids before it), perhaps markers of an answer,
and perhaps the count of ids at which somebody shifts. `drive` is a driver as engines have one; `two_pass` is the plain
reference: sample the thought; where it did not end, append the hint; sample the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import cycle
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from z1.errors import Fault, UserError
from z1.think import AnswerDetector, Bucket, End, Finished, Flow, Force, Ledger, Sample, Shift, Span, Window

LAW = settings(max_examples=250, deadline=None, derandomize=True)
HARD_LAW = settings(LAW, max_examples=600)
PIECES = (b"a", b"b", b"ab", b"", b"c", b"ba", b"a\xc3", b"\xa9")
WHOLE = 10**9

Model = Callable[[Sequence[int]], int]
Step = Sample | Force


@dataclass(frozen=True)
class Case:
    window: Window
    room: int
    key: int
    letters: int
    markers: tuple[bytes, ...]
    shift_at: int | None

    def model(self, ids: Sequence[int]) -> int:
        return blake2b(bytes(ids), key=self.key.to_bytes(4)).digest()[0] % self.letters

    def detector(self) -> AnswerDetector | None:
        return AnswerDetector(self.markers, PIECES.__getitem__) if self.markers else None

    @property
    def most_thought(self) -> int:
        left = self.room - len(self.window.hint) - self.window.answer
        return left if self.window.thinking is None else min(left, self.window.thinking)


def cases(fence: bool | None = None, markers: bool | None = None) -> st.SearchStrategy[Case]:
    """Cases by seed: many times faster than drawing each field, so that each law meets many more of them."""
    return st.integers(0, 2**48).map(lambda seed: case_of(Random(seed), fence, markers))


def case_of(random: Random, fence: bool | None, markers: bool | None) -> Case:
    letters = random.randint(2, len(PIECES))

    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(random.randrange(letters) for _ in range(random.randint(least, most)))

    def some(yes: bool | None) -> bool:
        return random.random() < 0.5 if yes is None else yes

    answer = random.randint(0, 6)
    window = Window(
        thinking=random.choice((None, *range(13))),
        answer=answer,
        hint=ids(0, 4) if answer else (),
        stops=frozenset(ids(0, 1)),
        close=ids(1, 3) if some(fence) else (),
    )
    texts = [b"".join(PIECES[token] for token in ids(1, 4)) or b"a" for _ in range(random.randint(1, 2))]
    return Case(
        window,
        room=window.after + random.randint(0, 16),
        key=random.getrandbits(32),
        letters=letters,
        markers=tuple(texts) if some(markers) else (),
        shift_at=random.choice((None, random.randint(0, 14))),
    )


SIZES = st.integers(0, 2**16).map(lambda seed: Random(seed).choices(range(1, 6), k=4))


def sample(model: Model, context: Sequence[int], most: int, stops: frozenset[int]) -> list[int]:
    """Ids from the model: at most `most`, and none after a stop id."""
    ids: list[int] = []
    while len(ids) < most and not (ids and ids[-1] in stops):
        ids.append(model([*context, *ids]))
    return ids


def rounds(case: Case, flow: Flow, sizes: Sequence[int] = (WHOLE,), model: Model | None = None) -> Iterator[Step]:
    """Drive the flow in chunks of at most these sizes, interrupted at `shift_at`; hand out each step when done."""
    watch, size = case.detector(), cycle(sizes)
    while True:
        if len(flow.ids) == case.shift_at:
            flow.shift(Shift.CONTROL)
        step = flow.next()
        assert flow.next() == step
        if isinstance(step, Finished):
            return
        before = len(flow.ids)
        if isinstance(step, Force):
            flow.came(step.ids)
        else:
            most = min(step.limit, next(size))
            if case.shift_at is not None and before < case.shift_at:
                most = min(most, case.shift_at - before)
            flow.came(sample(model or case.model, flow.ids, most, case.window.stops))
        if watch is not None:
            tell(flow, watch, flow.ids[before:])
        yield step


def tell(flow: Flow, watch: AnswerDetector, ids: Sequence[int]) -> None:
    if (at := watch.feed(ids)) is not None:
        flow.answer_at(at)
    else:
        flow.undecided(watch.undecided)


def begin(case: Case) -> Flow:
    return Flow(case.window, case.room, detects=bool(case.markers))


def drive(case: Case, sizes: Sequence[int] = (WHOLE,)) -> Flow:
    flow = begin(case)
    for _ in rounds(case, flow, sizes):
        pass
    return flow


def play(window: Window, *script: int, room: int = 100, size: int = WHOLE) -> Flow:
    """Drive the flow with a model that says these ids in order, then 0 for ever."""
    case, left = Case(window, room, 0, 1, (), None), iter(script)
    flow = begin(case)
    for _ in rounds(case, flow, (size,), lambda _: next(left, 0)):
        pass
    return flow


def seen(flow: Flow) -> tuple[object, ...]:
    """All that a caller can see."""
    return flow.ids, flow.spans(), flow.ledger(), flow.end, flow.shifted, flow.answering, flow.next()


def begun(text: Sequence[int], hint: Sequence[int]) -> int:
    """How many of the hint's ids already stand at the end of the text."""
    return max(n for n in range(min(len(hint), len(text)) + 1) if list(text[len(text) - n :]) == list(hint[:n]))


def two_pass(case: Case) -> tuple[list[int], Ledger]:
    """The plain reference. It shares no code with the flow, and keeps the whole text and the whole reply in hand."""
    window, model = case.window, case.model
    most = case.most_thought if case.shift_at is None else min(case.most_thought, case.shift_at)
    ids: list[int] = []
    close, border, forced = 0, None, 0
    while border is None and len(ids) < most:
        ids.append(model(ids))
        if ids[-1] in window.stops:
            border = answer_begins(case, ids)
            break
        if window.close and tuple(ids[-len(window.close) :]) == window.close:
            close, border = len(window.close), len(ids)
        elif not window.close:
            border = answer_begins(case, ids)
    ended = bool(ids) and ids[-1] in window.stops
    phase_one = None
    if not ended and border is None:
        phase_one = len(ids)
        rest = window.hint[begun(ids, window.hint) :]
        ids += rest
        forced, border = len(rest), len(ids)
    if not ended and border is not None:
        rest_of_answer = sample(model, ids, window.answer - (len(ids) - border), window.stops)
        ids += rest_of_answer
        ended = bool(rest_of_answer) and rest_of_answer[-1] in window.stops
    end = len(ids) - ended
    answer = None if border is None else end - border
    thought = (end if border is None else border) - close - forced
    return ids, Ledger(thought, close, forced, answer, int(ended), 0, len(ids) if phase_one is None else phase_one)


def answer_begins(case: Case, ids: Sequence[int]) -> int | None:
    """The id with the first byte of a marker; later where the answer, found late, has outgrown its allowance."""
    text = b"".join(PIECES[token] for token in ids)
    found = [text.index(marker) for marker in case.markers if marker in text]
    if not found or case.window.close or not case.window.answer:
        return None
    first = next(n for n in range(len(ids)) if len(b"".join(PIECES[token] for token in ids[: n + 1])) > min(found))
    return max(first, len(ids) - case.window.answer)


# The laws.


@given(case=cases(), sizes=SIZES)
@HARD_LAW
def test_chunks_any_split_of_the_same_ids_gives_the_same_reply_and_ledger(case: Case, sizes: list[int]) -> None:
    whole = seen(drive(case))
    assert seen(drive(case, sizes)) == whole
    assert seen(drive(case, [1])) == whole


@given(case=cases())
@HARD_LAW
def test_agreement_with_a_plain_two_pass_reference(case: Case) -> None:
    flow = drive(case)
    event(f"{flow.end}, shifted by {flow.shifted}")
    assert (flow.ids, flow.ledger()) == two_pass(case)


@given(case=cases(fence=False, markers=False))
@LAW
def test_agreement_an_interruption_by_shift_is_a_smaller_window(case: Case) -> None:
    at = 3 if case.shift_at is None else case.shift_at
    smaller = replace(case, shift_at=None, window=replace(case.window, thinking=min(at, case.most_thought)))
    shifted, plain = drive(replace(case, shift_at=at)), drive(smaller)
    assert (shifted.ids, shifted.spans(), shifted.end) == (plain.ids, plain.spans(), plain.end)


@given(case=cases(), sizes=SIZES)
@HARD_LAW
def test_limits_thought_and_answer_keep_to_their_allowances(case: Case, sizes: list[int]) -> None:
    flow = begin(case)
    for _ in rounds(case, flow, sizes):
        used = flow.ledger()
        assert used.thought + used.close + (used.stop if used.answer is None else 0) <= case.most_thought
        assert (used.answer or 0) + (0 if used.answer is None else used.stop) <= case.window.answer


@given(case=cases())
@LAW
def test_limits_what_is_forced_is_what_next_asked_and_the_end_of_the_hint(case: Case) -> None:
    flow, forced = begin(case), list[tuple[int, ...]]()
    for step in rounds(case, flow):
        if isinstance(step, Force):
            forced.append(step.ids)
            assert tuple(flow.ids[-len(step.ids) :]) == step.ids
            rest = len(case.window.hint) - begun(flow.ids[: -len(step.ids)], case.window.hint)
            assert step.ids == case.window.hint[-rest:]
    hints = [tuple(flow.ids[span.start : span.end]) for span in flow.spans() if span.bucket is Bucket.HINT]
    assert hints == forced
    assert len(forced) <= 1


@given(case=cases(), sizes=SIZES)
@LAW
def test_total_never_more_than_thinking_hint_and_answer_nor_than_the_room(case: Case, sizes: list[int]) -> None:
    flow = begin(case)
    for _ in rounds(case, flow, sizes):
        assert len(flow.ids) <= case.room
        if case.window.thinking is not None:
            assert len(flow.ids) <= case.window.thinking + len(case.window.hint) + case.window.answer


@given(case=cases(), sizes=SIZES)
@LAW
def test_progress_every_round_adds_an_id_and_it_ends(case: Case, sizes: list[int]) -> None:
    flow, before = begin(case), 0
    for step in rounds(case, flow, sizes):
        assert step.ids if isinstance(step, Force) else step.limit > 0
        assert len(flow.ids) > before
        before = len(flow.ids)
    assert flow.end in (End.STOP, End.CUT)
    assert flow.next() == Finished(flow.end)


@given(case=cases(fence=False, markers=False))
@LAW
def test_progress_without_fence_or_detector_a_reply_takes_two_samples_and_one_hint(case: Case) -> None:
    steps = list(rounds(replace(case, shift_at=None), begin(case)))
    assert [type(step) for step in steps] in ([], [Sample], [Force, Sample], [Sample] * 2, [Sample, Force, Sample])


@given(case=cases(), stop_after=st.integers(0, 12), peek=st.booleans(), why=st.sampled_from(list(Shift)[3:]))
@LAW
def test_shift_acts_once_and_only_in_the_thought(case: Case, stop_after: int, peek: bool, why: Shift) -> None:
    flow = begin(case)
    for count, _ in enumerate(rounds(replace(case, shift_at=None), flow, [1])):
        if count == stop_after:
            break
    thinking = flow.end is None and not flow.answering
    if peek:
        thinking = isinstance(flow.next(), Sample) and not flow.answering
    reason = flow.shifted
    used = flow.ledger() if thinking else seen(flow)
    event(f"acts: {thinking}")
    assert flow.shift(why) is thinking
    if thinking:
        assert flow.shifted is why
        assert flow.ledger().thought == len(flow.ids)
    else:
        assert (flow.shifted, seen(flow)) == (reason, used)
    after = seen(flow)
    assert flow.shift(Shift.DEADLINE) is False
    assert seen(flow) == after


@given(case=cases(), stop_after=st.integers(0, 12))
@LAW
def test_abort_keeps_what_came_and_never_changes_an_end(case: Case, stop_after: int) -> None:
    flow = begin(case)
    for count, _ in enumerate(rounds(case, flow, [2])):
        if count == stop_after:
            break
    end, ids, spans, used = flow.end, list(flow.ids), flow.spans(), flow.ledger()
    flow.abort()
    assert flow.end is (End.ABORTED if end is None else end)
    assert (flow.ids, flow.spans(), flow.ledger()) == (ids, spans, used)
    assert flow.next() == Finished(flow.end)
    assert flow.shift(Shift.CONTROL) is False


# The borders, one by one. Thought 1s, hint (5, 6, 7), answer 2s, stop 9.

STOPS = frozenset({9})
WINDOW = Window(4, 3, (5, 6, 7), STOPS)


def test_a_thought_that_reaches_its_budget_is_shifted() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 2, 9)
    assert flow.ids == [1, 1, 1, 1, 5, 6, 7, 2, 9]
    assert (flow.shifted, flow.end) == (Shift.BUDGET, End.STOP)
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=1, stop=1, phase_one=4)
    assert flow.spans() == (
        Span(Bucket.THOUGHT, 0, 4),
        Span(Bucket.HINT, 4, 7),
        Span(Bucket.ANSWER, 7, 8),
        Span(Bucket.STOP, 8, 9),
    )


def test_a_thought_that_ends_just_below_its_budget_is_natural() -> None:
    flow = play(WINDOW, 1, 1, 9)
    assert (flow.ids, flow.shifted, flow.end) == ([1, 1, 9], Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=2, answer=None, stop=1, phase_one=3)


def test_a_thought_that_ends_exactly_at_its_budget_is_natural() -> None:
    flow = play(WINDOW, 1, 1, 1, 9)
    assert (flow.ids, flow.shifted, flow.end) == ([1, 1, 1, 9], Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=3, answer=None, stop=1, phase_one=4)


def test_a_reply_that_stops_at_once_has_only_a_stop() -> None:
    flow = play(WINDOW, 9)
    assert flow.ledger() == Ledger(answer=None, stop=1, phase_one=1)
    assert (flow.shifted, flow.spans()) == (Shift.NATURAL, (Span(Bucket.STOP, 0, 1),))


def test_an_answer_that_stops_at_once_is_0_and_not_none() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 9)
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=0, stop=1, phase_one=4)


def test_an_answer_that_reaches_its_allowance_is_cut() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 2, 2, 2, 2)
    assert (flow.ids[-3:], flow.end) == ([2, 2, 2], End.CUT)
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=3, phase_one=4)


def test_an_answer_whose_stop_is_the_last_id_of_its_allowance_is_not_cut() -> None:
    flow = play(WINDOW, 1, 1, 1, 1, 2, 2, 9)
    assert (flow.ledger().answer, flow.end) == (2, End.STOP)


def test_a_window_of_0_answers_at_once() -> None:
    flow = Flow(replace(WINDOW, thinking=0), 100)
    assert flow.next() == Force((5, 6, 7))
    assert flow.shifted is Shift.BUDGET
    assert play(replace(WINDOW, thinking=0), 2, 9).ledger() == Ledger(hint=3, answer=1, stop=1)


def test_a_window_of_0_without_a_hint_samples_the_answer() -> None:
    flow = Flow(Window(0, 3, (), STOPS), 100)
    assert (flow.next(), flow.answering) == (Sample(3), True)


def test_a_window_of_1_thinks_one_id() -> None:
    flow = Flow(replace(WINDOW, thinking=1), 100)
    assert flow.next() == Sample(1)
    flow.came([1])
    assert flow.next() == Force((5, 6, 7))


def test_a_free_window_thinks_until_the_context_is_full() -> None:
    flow = play(replace(WINDOW, thinking=None), *[1] * 99, room=20)
    assert (flow.ledger().thought, flow.shifted, len(flow.ids)) == (14, Shift.CONTEXT, 20)


def test_a_context_smaller_than_the_window_shifts_for_the_context() -> None:
    assert play(WINDOW, *[1] * 99, room=9).shifted is Shift.CONTEXT
    assert play(WINDOW, *[1] * 99, room=9).ledger().thought == 3
    assert play(WINDOW, *[1] * 99, room=10).shifted is Shift.BUDGET


def test_a_room_too_small_for_hint_and_answer_is_the_users_error() -> None:
    assert Flow(WINDOW, 6).next() == Force((5, 6, 7))
    with pytest.raises(UserError):
        Flow(WINDOW, 5)


def test_a_hard_cut_has_no_hint_and_an_answer_of_0() -> None:
    flow = play(Window(4, 0, (), STOPS), *[1] * 9)
    assert (flow.ids, flow.end, flow.shifted) == ([1] * 4, End.CUT, Shift.BUDGET)
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
def test_only_what_the_model_has_not_begun_of_the_hint_is_forced(thought: list[int], forced: tuple[int, ...]) -> None:
    flow = play(WINDOW, *thought, 2, 9)
    assert flow.ids == [*thought, *forced, 2, 9]
    assert flow.ledger() == Ledger(thought=4, hint=len(forced), answer=1, stop=1, phase_one=4)
    assert flow.shifted is Shift.BUDGET


def test_of_a_hint_that_overlaps_itself_the_longest_begun_part_counts() -> None:
    assert play(replace(WINDOW, hint=(5, 5, 6)), 1, 1, 5, 5, 2, 9).ids == [1, 1, 5, 5, 6, 2, 9]


def test_a_stop_id_inside_a_forced_hint_does_not_end_the_reply() -> None:
    flow = play(replace(WINDOW, hint=(9, 5, 9)), 1, 1, 1, 1, 2, 9)
    assert flow.ids == [1, 1, 1, 1, 9, 5, 9, 2, 9]
    assert flow.ledger() == Ledger(thought=4, hint=3, answer=1, stop=1, phase_one=4)


# The fence.

FENCED = Window(6, 4, (5, 6, 7), STOPS, close=(3, 4))


@pytest.mark.parametrize("size", [1, 2, WHOLE])
def test_a_fence_that_the_model_closes_is_the_border(size: int) -> None:
    flow = play(FENCED, 1, 3, 4, 2, 9, size=size)
    assert (flow.ids, flow.shifted, flow.end) == ([1, 3, 4, 2, 9], Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=1, close=2, answer=1, stop=1, phase_one=5)
    assert flow.ledger().reasoning_tokens == 3


@pytest.mark.parametrize("size", [1, 2, WHOLE])
def test_a_second_close_inside_the_answer_is_not_a_second_border(size: int) -> None:
    flow = play(FENCED, 3, 4, 2, 3, 4, 9, size=size)
    assert flow.ledger() == Ledger(close=2, answer=3, stop=1, phase_one=6)


def test_a_fence_closed_with_the_last_id_of_the_budget_is_natural() -> None:
    flow = play(FENCED, 1, 1, 1, 1, 3, 4, 2, 2, 2, 2)
    assert (flow.shifted, flow.end) == (Shift.NATURAL, End.CUT)
    assert flow.ledger() == Ledger(thought=4, close=2, answer=4, phase_one=10)


def test_a_fence_half_closed_at_the_budget_is_thought_and_only_the_rest_is_forced() -> None:
    flow = play(replace(FENCED, hint=(3, 4, 7)), 1, 1, 1, 1, 1, 3, 2, 9)
    assert flow.ids == [1, 1, 1, 1, 1, 3, 4, 7, 2, 9]
    assert flow.ledger() == Ledger(thought=6, hint=2, answer=1, stop=1, phase_one=6)


def test_a_close_in_the_answer_after_a_shift_is_answer() -> None:
    flow = play(FENCED, *[1] * 6, 3, 4, 2, 9)
    assert flow.ledger() == Ledger(thought=6, hint=3, answer=3, stop=1, phase_one=6)


def test_a_fence_left_open_is_an_answer_of_none() -> None:
    assert play(FENCED, 1, 3, 9).ledger() == Ledger(thought=2, answer=None, stop=1, phase_one=3)


def test_with_a_fence_no_sample_is_longer_than_the_answer_could_be() -> None:
    assert Flow(FENCED, 100).next() == Sample(4)
    assert Flow(replace(FENCED, answer=0, hint=()), 100).next() == Sample(1)
    assert Flow(replace(FENCED, thinking=2), 100).next() == Sample(2)


# The answer that begins by itself.

DETECTED = Window(6, 4, (5, 6, 7), STOPS)


def test_an_answer_in_progress_at_the_budget_is_not_interrupted() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 1, 1, 1])
    flow.came([1, 2])
    flow.answer_at(5)
    assert flow.next() == Sample(3)
    flow.came([2, 9])
    assert (flow.shifted, flow.end) == (Shift.NATURAL, End.STOP)
    assert flow.ledger() == Ledger(thought=5, answer=2, stop=1, phase_one=8)


def test_an_answer_in_progress_is_cut_at_its_own_allowance() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 2, 2, 2])
    flow.answer_at(1)
    assert flow.next() == Sample(1)
    flow.came([2])
    assert flow.next() == Finished(End.CUT)
    assert flow.ledger() == Ledger(thought=1, answer=4, phase_one=5)


def test_an_answer_found_when_it_fills_its_allowance_is_cut_at_once() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([2, 2, 2, 2])
    flow.answer_at(0)
    assert flow.next() == Finished(End.CUT)


def test_an_answer_told_after_the_stop_still_divides_the_reply() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 2, 9])
    flow.answer_at(1)
    assert (flow.end, flow.shifted) == (End.STOP, Shift.NATURAL)
    assert flow.ledger() == Ledger(thought=1, answer=1, stop=1, phase_one=3)


def test_only_the_first_word_about_the_answer_counts() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 2, 2])
    flow.answer_at(1)
    before = seen(flow)
    flow.answer_at(2)
    assert seen(flow) == before


def test_an_answer_told_once_the_hint_is_due_has_no_effect() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 1])
    assert flow.shift(Shift.DEADLINE)
    flow.answer_at(1)
    assert (flow.next(), flow.shifted, flow.answering) == (Force((5, 6, 7)), Shift.DEADLINE, False)


def test_with_a_detector_no_sample_is_longer_than_the_answer_could_be() -> None:
    assert Flow(DETECTED, 100, detects=True).next() == Sample(4)
    assert Flow(DETECTED, 100).next() == Sample(6)


@pytest.mark.parametrize("window", [Window(6, 0, (), STOPS), FENCED])
def test_a_hard_cut_and_a_fence_do_not_listen_to_a_detector(window: Window) -> None:
    flow, plain = Flow(window, 100, detects=True), Flow(window, 100)
    assert flow.next() == plain.next()
    for told in (flow, plain):
        told.came([1, 1])
    flow.answer_at(1)
    assert seen(flow) == seen(plain)
    assert not flow.answering


def test_an_answer_that_may_have_begun_leaves_less_to_sample() -> None:
    """Found late, it would else outgrow its allowance: a marker often stands across two samples."""
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 1, 2])
    flow.undecided(1)
    assert flow.next() == Sample(3)
    flow.undecided(2)
    assert flow.next() == Sample(2)
    flow.undecided(0)
    assert flow.next() == Sample(3)
    flow.undecided(9)
    assert flow.next() == Sample(1)


def test_an_answer_found_when_it_has_outgrown_its_allowance_begins_so_much_later() -> None:
    flow = Flow(DETECTED, 100, detects=True)
    flow.came([1, 1, 1])
    flow.came([1, 1])
    flow.answer_at(0)
    assert flow.ledger() == Ledger(thought=1, answer=4, phase_one=5)
    assert flow.next() == Finished(End.CUT)


# Misuse.


def test_more_ids_than_were_asked_for_are_refused() -> None:
    flow = Flow(WINDOW, 100)
    with pytest.raises(Fault, match="5 ids came where at most 4 were asked for"):
        flow.came([1] * 5)
    flow.came([1] * 4)
    flow.came((5, 6, 7))
    with pytest.raises(Fault, match="4 ids came where at most 3 were asked for"):
        flow.came([2] * 4)


@pytest.mark.parametrize("ids", [(), (5, 6), (5, 6, 7, 2), (5, 6, 6)])
def test_other_ids_than_those_forced_are_refused(ids: tuple[int, ...]) -> None:
    flow = Flow(replace(WINDOW, thinking=0), 100)
    with pytest.raises(Fault, match="forced"):
        flow.came(ids)
    assert flow.ids == []
    flow.came([5, 6, 7])
    assert flow.answering


def test_ids_after_a_stop_id_are_refused() -> None:
    flow = Flow(WINDOW, 100)
    with pytest.raises(Fault, match="after a stop id"):
        flow.came([1, 9, 1])
    with pytest.raises(Fault, match="1 ids came where at most 0"):
        flow.came([1])


@pytest.mark.parametrize("index", [-1, 3])
def test_an_answer_outside_the_reply_is_refused(index: int) -> None:
    flow = Flow(WINDOW, 100, detects=True)
    flow.came([1, 1])
    with pytest.raises(Fault, match=f"cannot begin at {index} of 2 ids"):
        flow.answer_at(index)
    assert not flow.answering


@pytest.mark.parametrize("index", [0, 2])
def test_an_answer_may_begin_at_either_end_of_the_reply(index: int) -> None:
    flow = Flow(WINDOW, 100, detects=True)
    flow.came([1, 1])
    flow.answer_at(index)
    assert flow.answering
    assert flow.ledger() == Ledger(thought=index, answer=2 - index, phase_one=2)
