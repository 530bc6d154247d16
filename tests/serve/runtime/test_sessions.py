"""Tests of z1.serve.runtime.sessions: accounts are exact, and no reply waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.engines import DriverOptions, Sampling, run_flow
from z1.engines.scripted import ScriptedEngine
from z1.serve.api.session import SessionRow, SessionSettings
from z1.serve.runtime.ledger_file import LedgerFile
from z1.serve.runtime.reply_runner import Failed, NewTokens, ReplyFinished
from z1.serve.runtime.sessions import MIN_PART, PART, Account, SessionExhausted, Sessions, Turn
from z1.think import Bucket, End, Flow, Ledger, Shift, Window

HINT = (7, 7)


def account(budget: int | None) -> Account:
    return Account(SessionRow(1, "a", budget, "answer_now", 0.0, 1e12, 0, 0))


def turn(one: Account) -> Turn:
    return Turn(one, LedgerFile(), ("reply", 0, "model"))


def never_ends(_: Any) -> int:
    return 5


async def reply(one: Account, window: Window, next_token: Callable[[Any], int] = never_ends) -> Flow:
    """A reply of the account's session, driven as the server drives it, its events booked."""
    share, flow = turn(one), Flow(window, 100_000)
    session = await ScriptedEngine(next_token, max_model_len=100_000).open((1,), Sampling(window.stop_token_ids))
    options = DriverOptions(on_tokens=lambda bucket, tokens: share.on_event(NewTokens(bucket, tokens)), allowance=share)
    await run_flow(flow, session, options)
    assert one.spent + one.held <= (one.row.thinking_budget or 0)
    share.on_event(ReplyFinished(flow.ledger(), flow.shift_reason, flow.end, None, 0.0))  # type: ignore[arg-type]
    return flow


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


@settings(max_examples=20)
@given(budget=st.integers(0, 3000), limits=st.lists(st.integers(0, 600), min_size=1, max_size=12))
def test_parallel_replies_spend_all_and_no_more(budget: int, limits: list[int]) -> None:
    """Replies that would think without end: together they use the account, to the token, or all that they may."""

    async def main() -> None:
        one = account(budget)
        flows = await asyncio.gather(*(reply(one, Window(limit, 4, HINT, frozenset())) for limit in limits))
        thoughts = [flow.ledger().thought for flow in flows]
        assert sum(thoughts) == one.spent == min(budget, sum(limits)) and one.held == 0
        assert all(thought <= limit for thought, limit in zip(thoughts, limits, strict=True))
        assert all(flow.ledger().answer == 4 for flow in flows)
        for flow, limit in zip(flows, limits, strict=True):
            assert flow.shift_reason is (Shift.BUDGET if flow.ledger().thought == limit else Shift.SESSION)

    run(main)


@settings(max_examples=20)
@given(budget=st.integers(1, 2000), ends=st.lists(st.integers(1, 500), min_size=1, max_size=8))
def test_unused_tokens_return_to_the_account(budget: int, ends: list[int]) -> None:
    """Replies that end their thoughts by themselves: none is cut short while the account has tokens."""

    async def main() -> None:
        one = account(budget)
        stops = [lambda context, end=end: 3 if len(context) >= end else 5 for end in ends]
        window = Window(None, 4, HINT, frozenset({3}))
        flows = await asyncio.gather(*(reply(one, window, stop) for stop in stops))
        thoughts = sum(flow.ledger().thought for flow in flows)
        assert thoughts == one.spent and one.held == 0
        needed = sum(end - 1 for end in ends)
        assert thoughts == min(needed, budget) or one.left < len(ends)
        if any(flow.shift_reason is Shift.SESSION for flow in flows):
            assert one.left <= len(ends)  # a stop token that was taken for is no thought

    run(main)


def test_what_is_left_is_shared() -> None:
    async def main() -> None:
        one = account(1000)
        turns = [turn(one) for _ in range(4)]
        for share in turns:
            await share.take(10_000)
        assert [share.held for share in turns] == [PART, PART, 162, 81]
        waiting = asyncio.ensure_future(turns[0].take(10_000))
        await waiting
        assert turns[0].held == PART + (1000 - 2 * PART - 162 - 81) // 4
        assert one.held <= 1000

    run(main)


def test_a_reply_waits_for_what_others_may_return() -> None:
    async def main() -> None:
        one = account(20)
        first, second = turn(one), turn(one)
        await first.take(MIN_PART)
        await second.take(20)
        assert (first.held, second.held) == (MIN_PART, 4)
        second.on_event(NewTokens(Bucket.THOUGHT, (5,) * 4))
        waiting = asyncio.ensure_future(second.take(20))
        await asyncio.sleep(0)
        assert not waiting.done()
        first.on_event(NewTokens(Bucket.THOUGHT, (5,) * 6))
        first.on_event(NewTokens(Bucket.ANSWER, (5,)))  # its thought is complete: 10 tokens return
        await waiting
        assert (second.held, one.spent, one.held) == (10, 10, 10)
        second.on_event(NewTokens(Bucket.THOUGHT, (5,) * 10))
        await second.take(20)  # nobody can return anything: no wait
        assert (second.held, second.taken, one.left) == (0, 14, 0)

    run(main)


def test_replies_that_wait_for_each_other_answer() -> None:
    """Two replies hold tokens that may still become an answer, and neither can go on."""

    async def main() -> None:
        one = account(2 * MIN_PART)
        first, second = turn(one), turn(one)
        await first.take(MIN_PART)
        await second.take(MIN_PART)
        first.on_event(NewTokens(Bucket.THOUGHT, (5,) * 10))  # six more are undecided
        await asyncio.wait_for(asyncio.gather(first.take(99), second.take(99)), 5)
        assert first.taken == second.taken == MIN_PART

    run(main)


def test_a_cancelled_reply_pays_what_it_generated_and_returns_the_rest() -> None:
    async def main() -> None:
        one = account(20)
        first, second = turn(one), turn(one)
        await first.take(MIN_PART)
        await second.take(20)
        waiting = asyncio.ensure_future(second.take(20))
        await asyncio.sleep(0)
        waiting.cancel()
        second.on_event(Failed(None, Ledger(thought=4), is_cancelled=True))  # type: ignore[arg-type]
        assert second.row().end == "aborted" and (one.spent, one.held) == (4, MIN_PART)
        first.on_event(Failed(None, Ledger(thought=3)))  # type: ignore[arg-type]
        assert first.row().end == "failed" and (one.spent, one.held) == (7, 0)

    run(main)


def test_a_reply_tells_no_more_of_its_session_than_is_written_when_it_is_sent() -> None:
    """Its last chunk is formatted after a commit, and another reply may have gone on since."""

    async def main() -> None:
        one = account(100)
        first, second = turn(one), turn(one)
        await asyncio.gather(first.take(20), second.take(20))
        first.on_event(NewTokens(Bucket.THOUGHT, (5,) * 7))
        first.on_event(ReplyFinished(Ledger(thought=7), None, End.STOP, None, 0.0))
        second.on_event(NewTokens(Bucket.THOUGHT, (5,) * 9))
        assert (one.spent, first.status()["session"]["spent"]) == (16, 7)

    run(main)


def test_an_unlimited_account_only_counts() -> None:
    async def main() -> None:
        one = account(None)
        share = turn(one)
        await share.take(5000)
        share.on_event(NewTokens(Bucket.THOUGHT, (5,) * 5000))
        assert (one.spent, share.held) == (5000, 0)
        share.on_event(ReplyFinished(Ledger(thought=5000), None, End.STOP, None, 0.0))
        assert share.status() == {"session": {"id": "a", "spent": 5000, "left": None}}

    run(main)


def test_accounts_are_shared_and_refuse_once_they_are_used_up() -> None:
    async def main() -> None:
        sessions = Sessions(LedgerFile())
        asked = SessionSettings("s", 5, "refuse")
        many = await asyncio.gather(*(sessions.open("me", asked, thinks=True) for _ in range(9)))
        assert len(set(map(id, many))) == 1
        share = Turn(many[0], sessions.ledger, ("reply", 0, "model"))
        await share.take(5)
        share.on_event(NewTokens(Bucket.THOUGHT, (5,) * 5))
        share.on_event(ReplyFinished(Ledger(thought=5, answer=1), Shift.SESSION, End.CUT, None, 0.0))
        with pytest.raises(SessionExhausted, match="5 thinking tokens are used up"):
            await sessions.open("me", asked, thinks=True)
        assert await sessions.open("me", asked, thinks=False)
        other = await sessions.open("you", asked, thinks=True)
        assert (other.spent, other.left) == (0, 5)

    run(main)
