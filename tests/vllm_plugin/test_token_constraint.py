"""A server's sampling loop with token constraints gives the tokens of the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.think.cases import PIECES, Case, cases, drive, may_end, takes_bias
from z1.think import End, Flow, Repetition, SoftLanding, StopStrings, Window
from z1.vllm_plugin.token_constraint import NO_CHECK, TokenConstraint

LAW = settings(max_examples=600, deadline=None, derandomize=True)
END = 99


def guide(case: Case, ending: int | None = END) -> TokenConstraint:
    """As in a server, which ends replies at stop tokens itself, so the flow has none."""
    strings = StopStrings(case.strings, PIECES.__getitem__) if case.strings else None
    flow = Flow(
        replace(case.window, stop_token_ids=frozenset()),
        case.room,
        detects_answer=bool(case.markers),
        stop_strings=strings,
    )
    return TokenConstraint(flow, case.detector(), end_token=ending, check_every_token=bool(strings))


def served(case: Case, forgets: Sequence[bool] = (False,)) -> list[int]:
    """A server's loop. `forgets` marks preemptions: the tokens are kept, the constraint is made again."""
    ids: list[int] = []
    told = guide(case)
    while len(ids) < case.room + 1:
        if forgets[len(ids) % len(forgets)]:
            told = guide(case)
        forced = told.next_token(ids) if len(ids) >= told.next_check else None
        free = case.model(ids)
        if forced is None and told.bias is not None and takes_bias(ids, told.bias[1]):
            free = told.bias[0]
        ids.append(free if forced is None else forced)
        if ids[-1] == END or (forced is None and ids[-1] in case.window.stop_token_ids):
            break
    return ids[:-1] if ids[-1] == END else ids


def kept(ids: list[int], wanted: Flow) -> list[int]:
    """Without the rest of a marker whose end showed that a stop string had been met before."""
    return ids[: len(wanted.token_ids)] if wanted.end is End.STRING and len(ids) <= len(wanted.token_ids) + 12 else ids


@LAW
@given(cases().map(may_end), st.lists(st.booleans(), min_size=1, max_size=5))
def test_a_server_gives_the_tokens_of_the_driver_despite_preemption(case: Case, forgets: list[bool]) -> None:
    calm = replace(case, shift_at=None)
    assert served(calm) == served(calm, forgets)
    assert kept(served(calm), drive(calm)) == drive(calm).token_ids


@LAW
@given(cases().map(may_end))
def test_nothing_is_forced_before_the_next_check(case: Case) -> None:
    ids: list[int] = []
    lazy = guide(case)
    while lazy.next_check != NO_CHECK and len(ids) <= case.room:
        told = guide(case).next_token(ids)
        if len(ids) < lazy.next_check:
            assert told is None
        else:
            assert told == lazy.next_token(ids)
        ids.append(case.model(ids) if told is None else told)


def test_the_next_check_is_as_late_as_the_flow_allows() -> None:
    told = TokenConstraint(Flow(Window(100, 8, (1, 2), frozenset()), 200))
    assert told.next_token([]) is None
    assert told.next_check == 100


def test_a_hint_that_the_model_has_started_is_completed() -> None:
    told = TokenConstraint(Flow(Window(3, 8, (1, 2, 3), frozenset()), 50))
    assert told.next_token([9, 1, 2]) == 3
    assert told.next_token([9, 1, 2, 3]) is None
    assert told.next_token([9, 1, 2, 3, 9, 9]) is None


def test_nothing_is_forced_after_another_token_than_the_forced_one() -> None:
    told = TokenConstraint(Flow(Window(2, 8, (1, 2, 3), frozenset()), 50), end_token=END)
    assert told.next_token([9, 9]) == 1
    assert told.next_token([9, 9, 7]) is None
    assert told.next_check == NO_CHECK


def test_placeholders_of_unknown_tokens_are_ignored() -> None:
    told = TokenConstraint(Flow(Window(2, 8, (1, 2), frozenset()), 50))
    assert told.next_token([9, -1]) is None
    assert told.next_token([9, 9]) == 1


def test_the_end_token_is_forced_once_and_only_if_there_is_one() -> None:
    window, ids = Window(1, 2, (1,), frozenset()), [9, 1, 8, 8]
    told = TokenConstraint(Flow(window, 50), end_token=END)
    assert (told.next_token(ids), told.next_token([*ids, END])) == (END, None)
    assert TokenConstraint(Flow(window, 50)).next_token(ids) is None
    assert TokenConstraint(Flow(window, 50), end_token=END).next_token([*ids, 8]) is None


@pytest.mark.parametrize("period", [1, 7, 100, 512])
@pytest.mark.parametrize("budget", [4000, 0])
def test_a_loop_is_ended_in_a_thought_by_the_hint_and_in_an_answer_by_the_end_token(period: int, budget: int) -> None:
    rng = Random(period)
    block = [rng.randrange(1000, 50_000) for _ in range(period)]
    window = Window(budget, 4000, (1, 2), frozenset(), repetition=Repetition())
    told, ids = TokenConstraint(Flow(window, 9000), end_token=END), [] if budget else [1, 2]
    ids += rng.sample(range(1000, 50_000), 200)
    start, forced = len(ids), None
    while forced is None:
        ids.append(block[(len(ids) - start) % period])
        forced = told.next_token(ids) if len(ids) >= told.next_check else None
    assert forced == (1 if budget else END)
    assert told.outcomes == ["repetition"]
    assert len(ids) - start <= 3 * period + 64


def test_a_nudge_is_forced_twice_and_then_the_hint() -> None:
    window = Window(4000, 8, (1, 2), frozenset(), repetition=Repetition((5, 6), 2))
    told, ids, outcomes = TokenConstraint(Flow(window, 9000)), list[int](), list[str]()
    while len(outcomes) < 3:
        forced = told.next_token(ids) if len(ids) >= told.next_check else None
        outcomes += told.outcomes if forced is not None and ids[-1:] != [5] else []
        ids.append(9 if forced is None else forced)
    assert outcomes == ["nudge", "nudge", "repetition"]
    assert [at for at, token in enumerate(ids) if token == 5] == [64, 128]


def test_the_end_of_a_thought_has_a_bias_that_rises_to_its_maximum() -> None:
    window = Window(9, 8, (1,), frozenset(), (7, 8), landing=SoftLanding(4, max_bias=2.0))
    told, ids = TokenConstraint(Flow(window, 100)), list[int]()
    biases = []
    for token in (3, 3, 3, 3, 3, 3, 7, 3):
        assert told.next_token(ids) is None
        biases.append(told.bias)
        ids.append(token)
    assert biases == [None] * 5 + [(7, 0.5), (7, 1.0), (8, 1.5)]
