"""Every token of a reply is in exactly one bucket, and the sums are correct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.think import Bucket, End, Finished, Flow, Force, Ledger, Shift, Span, Window

LAW = settings(max_examples=120, deadline=None, derandomize=True)
COUNT = st.integers(0, 9)
MOVES = ("go", "go", "go", "go", "shift", "answer", "probe", "abort")


def moments() -> st.SearchStrategy[Iterator[Flow]]:
    """A flow, yielded after each of its events."""
    return st.integers(0, 2**48).map(lambda seed: flow_of(Random(seed)))


def flow_of(random: Random) -> Iterator[Flow]:
    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(random.randrange(6) for _ in range(random.randint(least, most)))

    answer = random.randint(0, 6)
    hint = ids(0, 3) if answer else ()
    window = Window(random.choice((None, *range(10))), answer, hint, frozenset(ids(0, 2)), ids(0, 2))
    flow = Flow(window, window.reserved_tokens + random.randint(0, 9), detects_answer=random.random() < 0.5)
    moves = [(random.randint(1, 5), random.choice(MOVES)) for _ in range(random.randint(0, 25))]
    return happen(flow, ids(40, 40), moves)


def happen(flow: Flow, stream: Sequence[int], moves: Sequence[tuple[int, str]]) -> Iterator[Flow]:
    yield flow
    for size, move in moves:
        match move:
            case "go":
                go(flow, stream, size)
            case "shift":
                flow.shift(Shift.CONTROL)
            case "answer":
                flow.start_answer(max(0, len(flow.token_ids) + 1 - size))
            case "probe":
                flow.add_probe_tokens(size)
            case "abort":
                flow.end = flow.end or End.ABORTED
        yield flow


def go(flow: Flow, stream: Sequence[int], size: int) -> None:
    step = flow.next_step()
    if isinstance(step, Finished):
        return
    if isinstance(step, Force):
        flow.add_tokens(step.token_ids)
        return
    ids = list(stream[len(flow.token_ids) :][: min(size, step.max_tokens)])
    stops = [n for n, token in enumerate(ids, 1) if token in flow.window.stop_token_ids]
    flow.add_tokens(ids[: min(stops, default=len(ids))])


@given(flows=moments())
@LAW
def test_ledger_the_buckets_always_add_up_to_the_tokens(flows: Iterator[Flow]) -> None:
    for flow in flows:
        ledger = flow.ledger()
        buckets = (ledger.thought, ledger.close, ledger.hint, ledger.answer or 0, ledger.stop)
        assert min(buckets) >= 0
        assert sum(buckets) == ledger.completion_tokens == len(flow.token_ids)


@given(flows=moments())
@LAW
def test_spans_always_cover_the_tokens_in_order_and_agree_with_the_ledger(flows: Iterator[Flow]) -> None:
    order = list(Bucket)
    for flow in flows:
        spans, ledger = flow.spans(), flow.ledger()
        assert [i for span in spans for i in range(span.start, span.end)] == list(range(len(flow.token_ids)))
        assert [span.bucket for span in spans] == sorted({span.bucket for span in spans}, key=order.index)
        assert all(span.start < span.end for span in spans)
        sizes = {span.bucket: span.end - span.start for span in spans}
        assert all(sizes.get(bucket, 0) == (getattr(ledger, bucket) or 0) for bucket in Bucket)


@given(flows=moments())
@LAW
def test_the_answer_is_none_until_an_answer_has_begun(flows: Iterator[Flow]) -> None:
    for flow in flows:
        assert (flow.ledger().answer is None) == (not flow.is_answering)


@given(flows=moments())
@LAW
def test_the_stop_bucket_has_only_the_final_stop_token(flows: Iterator[Flow]) -> None:
    for flow in flows:
        ledger = flow.ledger()
        assert ledger.stop == (1 if flow.end is End.STOP else 0)
        assert not ledger.stop or flow.token_ids[-1] in flow.window.stop_token_ids


@given(flows=moments())
@LAW
def test_phase_one_is_every_token_before_the_hint_or_the_whole_reply(flows: Iterator[Flow]) -> None:
    for flow in flows:
        ledger = flow.ledger()
        whole = flow.shift_reason in (None, Shift.NATURAL)
        assert ledger.phase_one == (len(flow.token_ids) if whole else ledger.thought)
        assert not (whole and ledger.hint)


@given(flows=moments(), count=st.integers(1, 9))
@LAW
def test_probes_are_counted_and_not_part_of_the_reply(flows: Iterator[Flow], count: int) -> None:
    for flow in flows:
        step, spans, before = flow.next_step(), flow.spans(), flow.ledger()
        flow.add_probe_tokens(count)
        flow.add_probe_tokens(count)
        after = flow.ledger()
        assert after.probe == before.probe + 2 * count
        assert after.paid_tokens == before.completion_tokens + after.probe
        assert after.completion_tokens == before.completion_tokens
        assert (flow.spans(), flow.next_step()) == (spans, step)


@given(st.builds(Ledger, COUNT, COUNT, COUNT, st.none() | COUNT, *[COUNT] * 5))
@LAW
def test_the_sums_are_those_of_their_buckets(used: Ledger) -> None:
    assert used.thinking_tokens == used.thought + used.biased + used.nudge + used.close
    assert used.reasoning_tokens == used.thinking_tokens + used.hint
    assert used.completion_tokens == used.reasoning_tokens + used.stop + (0 if used.answer is None else used.answer)
    assert used.paid_tokens == used.completion_tokens + used.probe


def test_a_fresh_ledger_is_empty_and_has_no_answer() -> None:
    empty = Flow(Window(5, 4, (1, 2), frozenset({9})), 100).ledger()
    assert empty == Ledger()
    assert (empty.answer, empty.paid_tokens) == (None, 0)


@pytest.mark.parametrize(
    ("enum", "names"),
    [(Bucket, "thought biased nudge close hint answer stop"), (End, "stop string cut repetition aborted")],
)
def test_the_names_in_records_do_not_change(enum: type[Bucket | End], names: str) -> None:
    assert " ".join(enum) == names


def test_a_span_is_a_value() -> None:
    assert Span(Bucket.HINT, 1, 3) == Span(Bucket("hint"), 1, 3) != Span(Bucket.HINT, 1, 4)
