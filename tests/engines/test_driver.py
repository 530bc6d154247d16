"""The driver passes on every token and changes none."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1 import profiles
from z1.engines import Control, DriverOptions, FinishReason, Sampled, Sampling, run_flow
from z1.engines.scripted import Characters, Script, ScriptedEngine
from z1.errors import EngineFault
from z1.think import AnswerDetector, Bucket, End, Flow, Shift, Window

TOKENS = Characters()
PROMPT = "why?"
THOUGHT = "let us see, the fin... no. "
REPLY = THOUGHT + "the final answer is 7."
HINT = tuple(TOKENS.encode("#NOW: "))
STOPS = frozenset({3})


def scripted(pace: float = 0.0) -> ScriptedEngine:
    return ScriptedEngine(Script({PROMPT: REPLY}, {PROMPT: "8."}, "#NOW: "), token_delay_s=pace)


def detector() -> AnswerDetector:
    return AnswerDetector([b"the final answer"], lambda token: chr(token).encode())


async def replied(thinking: int | None, how: DriverOptions, pace: float = 0.0) -> Flow:
    session = await scripted(pace).open(TOKENS.encode(PROMPT), Sampling(STOPS))
    flow = Flow(Window(thinking, 40, HINT, STOPS), session.free_tokens, detects_answer=how.detector is not None)
    return await run_flow(flow, session, how)


@given(st.one_of(st.none(), st.integers(0, 60)), st.one_of(st.none(), st.integers(1, 7)), st.booleans())
def test_the_callback_gets_the_reply_in_order_by_bucket(thinking: int | None, chunk: int | None, detects: bool) -> None:
    heard: list[tuple[Bucket, int]] = []
    how = DriverOptions(
        detector() if detects else None, chunk, None, lambda bucket, ids: heard.extend((bucket, i) for i in ids)
    )
    flow = asyncio.run(replied(thinking, how))
    told = [(span.bucket, token) for span in flow.spans() for token in flow.token_ids[span.start : span.end]]
    assert heard == told


@given(
    st.one_of(st.none(), st.integers(0, 60)),
    st.lists(st.integers(1, 5), max_size=12),
    st.booleans(),
    st.sampled_from([(), ("answer is",), ("7",), ("8",)]),
)
def test_polling_a_running_sample_changes_no_token_and_reports_each_once(
    thinking: int | None, waits: list[int], detects: bool, stop: tuple[str, ...]
) -> None:
    heard: list[tuple[Bucket, int]] = []

    async def run(look: bool) -> Flow:
        session = await scripted().open(TOKENS.encode(PROMPT), Sampling(STOPS))
        found = detector() if detects else None
        flow = Flow(
            Window(thinking, 40, HINT, STOPS),
            90,
            detects_answer=detects,
            stop_strings=profiles.make_stop_strings(TOKENS, stop),
        )
        control = Control(flow, session)
        listen = (lambda bucket, ids: heard.extend((bucket, i) for i in ids)) if look else None
        task = asyncio.create_task(run_flow(flow, session, DriverOptions(found, on_tokens=listen), control))
        for wait in waits if look else []:
            for _ in range(wait):
                await asyncio.sleep(0)
            control.poll()
        return await task

    plain, looked = asyncio.run(run(False)), asyncio.run(run(True))
    assert (looked.token_ids, looked.ledger(), looked.end) == (plain.token_ids, plain.ledger(), plain.end)
    assert heard == [
        (span.bucket, token) for span in looked.spans() for token in looked.token_ids[span.start : span.end]
    ]


def test_a_poll_reports_pending_tokens_and_nothing_after_the_end() -> None:
    async def run() -> list[int]:
        seen: list[int] = []
        session = await scripted().open(TOKENS.encode(PROMPT), Sampling(STOPS))
        flow = Flow(Window(None, 40, HINT, STOPS), session.free_tokens)
        control = Control(flow, session)
        task = asyncio.create_task(
            run_flow(flow, session, DriverOptions(on_tokens=lambda _, ids: seen.extend(ids)), control)
        )
        while len(session.pending_token_ids) < 5:
            await asyncio.sleep(0)
        control.poll()
        early = len(seen)
        await task
        control.poll()
        return [early, len(seen), len(flow.token_ids)]

    early, late, all_of_it = asyncio.run(run())
    assert early == 5
    assert late == all_of_it


def test_an_answer_that_has_begun_is_not_interrupted() -> None:
    begins = len(THOUGHT) + len("the final answer")
    flow = asyncio.run(replied(begins, DriverOptions(detector())))
    assert (flow.shift_reason, flow.end) == (Shift.NATURAL, End.STOP)
    assert TOKENS.decode(flow.token_ids, skip_special_tokens=True) == REPLY
    before = asyncio.run(replied(begins - 1, DriverOptions(detector())))
    assert before.shift_reason is Shift.BUDGET


def test_a_deadline_shifts_a_thought_without_losing_tokens() -> None:
    flow = asyncio.run(replied(None, DriverOptions(deadline=0.05), pace=0.01))
    assert flow.shift_reason is Shift.DEADLINE
    thought = flow.ledger().thought
    assert thought < len(REPLY)
    assert TOKENS.decode(flow.token_ids, skip_special_tokens=True) == REPLY[:thought] + "#NOW: 8."


def test_answer_now_acts_once_and_returns_whether_it_did() -> None:
    async def run() -> tuple[list[bool], Flow]:
        session = await scripted(0.005).open(TOKENS.encode(PROMPT), Sampling(STOPS))
        flow = Flow(Window(None, 20, HINT, STOPS), session.free_tokens)
        control = Control(flow, session)
        task = asyncio.create_task(run_flow(flow, session, DriverOptions(), control))
        await asyncio.sleep(0.03)
        said = [control.answer_now(), control.answer_now()]
        await task
        return [*said, control.answer_now()], flow

    said, flow = asyncio.run(run())
    assert said == [True, False, False]
    assert (flow.shift_reason, flow.end) == (Shift.CONTROL, End.STOP)


def test_answer_now_before_the_start_answers_at_once() -> None:
    async def run() -> Flow:
        session = await scripted().open(TOKENS.encode(PROMPT), Sampling(STOPS))
        flow = Flow(Window(None, 20, HINT, STOPS), session.free_tokens)
        control = Control(flow, session)
        assert control.answer_now()
        return await run_flow(flow, session, DriverOptions(), control)

    assert asyncio.run(run()).ledger().thought == 0


def test_an_engine_that_returns_no_tokens_is_a_fault() -> None:
    class Mute:
        room = 50
        coming = ()

        async def sample(self, *_: object) -> Sampled:
            return Sampled((), FinishReason.LIMIT)

    async def run() -> None:
        await run_flow(Flow(Window(5, 5, HINT, STOPS), 50), Mute())  # type: ignore[arg-type]

    with pytest.raises(EngineFault, match="without a token"):
        asyncio.run(run())


def test_the_shipped_profile_detects_the_answer() -> None:
    found = profiles.make_detector(TOKENS, profiles.get_profile("z1-tiny"))
    assert found is not None
    text = "a = 3\n\nThe final answer is \\boxed{3}."
    assert found.feed(TOKENS.encode(text)) == text.index("The final")
