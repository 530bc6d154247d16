"""Loops are detected, and short repetitions are not loops."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.think.cases import play
from z1.errors import UserError
from z1.think import End, Repetition, Shift, Window
from z1.think.repetition import CHECK_INTERVAL, MAX_PERIOD, MORE_TOKENS, REPEATS, has_loop, has_near_loop

KODCODE = Path(__file__).parents[3] / "shared" / "data" / "kodcode_demo.jsonl.gz"


def is_loop(ids: list[int]) -> bool:
    """The definition, by comparing token with token."""
    lengths = ((period, REPEATS * period + MORE_TOKENS) for period in range(1, MAX_PERIOD + 1))
    return any(
        length <= len(ids) and all(ids[at] == ids[at - period] for at in range(len(ids) - length + period, len(ids)))
        for period, length in lengths
    )


def tokens_until_found(before: list[int], block: list[int]) -> int:
    """Tokens from the beginning of a loop to the check that finds it."""
    ids, added = list(before), 0
    while True:
        ids.append(block[added % len(block)])
        added += 1
        if len(ids) % CHECK_INTERVAL == 0 and has_loop(ids):
            return added


@given(
    st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 90)
)
def test_the_same_as_comparing_every_token_with_every_earlier_one(
    before: list[int], block: list[int], more: int
) -> None:
    ids = before + (block * 90)[:more]
    assert has_loop(ids) == is_loop(ids)
    assert has_loop(ids, len(before)) == is_loop(ids[len(before) :])


def test_1000_planted_loops_are_found_within_three_periods_and_64_tokens() -> None:
    rng = Random(1)
    for number in range(1000):
        period = 1 + number % MAX_PERIOD
        before = [rng.choice((rng.randrange(50_000), rng.randrange(40))) for _ in range(rng.randrange(400))]
        block = [rng.choice((rng.randrange(50_000), rng.randrange(40))) for _ in range(period)]
        assert tokens_until_found(before, block) <= 3 * period + 64


@given(st.permutations(range(200)))
def test_no_repetition_is_no_loop(ids: list[int]) -> None:
    assert not has_loop(ids)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], False),
        ([7] * 8, False),
        ([7] * 34, False),
        ([7] * 35, True),
        ([*range(30)] * 4, False),
        ([*range(30)] * 4 + [0, 1], True),
        ([*range(30)] * 5 + [99], False),
        ([*range(513)] * 4, False),
        ([*range(512)] * 4, True),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 10] * 6, True),  # its last tokens occur twice in a block
        ([2**40, -1] * 40, True),
    ],
)
def test_the_limits_of_a_loop(ids: list[int], expected: bool) -> None:
    assert has_loop(ids) is is_loop(ids) is expected


@pytest.mark.slow
@pytest.mark.skipif(not KODCODE.is_file(), reason=f"no {KODCODE}")
def test_no_thought_that_ended_by_itself_is_a_loop() -> None:
    """690 thoughts of DeepSeek-R1; a token is a word, a digit or another character."""
    numbers: dict[str, int] = {}
    with gzip.open(KODCODE, "rt", encoding="utf-8") as file:
        traces = [trace for line in file for trace in json.loads(line)["traces"]]
    assert len(traces) == 690
    digits = {numbers.setdefault(digit, len(numbers)) for digit in "0123456789"}
    for trace in traces:
        thought = trace.partition("</think>")[0]
        ids = [numbers.setdefault(word, len(numbers)) for word in re.findall(r"\d|\s?[^\W\d]+|\s+|\W", thought)]
        for end in range(CHECK_INTERVAL, len(ids), CHECK_INTERVAL):
            assert not has_loop(ids[max(0, end - 2048) : end]), thought[:80]
            assert not has_near_loop(ids[max(0, end - 4800) : end], 0, digits.__contains__), thought[:80]


def test_a_nudge_is_forced_where_it_fits_and_only_what_follows_it_is_the_next_loop() -> None:
    nudged = Window(200, 4, (50,), frozenset(), repetition=Repetition((60, 61), 1))
    flow = play(nudged, *[7] * 64, *range(100, 120), room=900)
    assert flow.ledger().nudge == 2
    assert (flow.token_ids[64:66], flow.shift_reason) == ([60, 61], Shift.REPETITION)  # the model of `play` then loops
    assert play(replace(nudged, thinking_budget=66), *[7] * 64).ledger().nudge == 0
    late = play(replace(nudged, min_thinking_tokens=100), *[7] * 300, room=900)
    assert (late.token_ids[128:130], late.ledger().nudge) == ([60, 61], 2)


def test_an_answer_that_repeats_itself_ends_the_reply() -> None:
    flow = play(Window(0, 900, (50,), frozenset(), repetition=Repetition()), *[7] * 900, room=1000)
    assert (flow.end, flow.ledger().answer) == (End.REPETITION, 63)


@pytest.mark.parametrize(("nudge", "count", "named"), [((), 1, "nudge"), ((1,), -1, "max_nudges")])
def test_nudges_without_text_are_refused(nudge: tuple[int, ...], count: int, named: str) -> None:
    with pytest.raises(UserError, match=named):
        Repetition(nudge, count)


def counted(block: list[int], number: int) -> list[int]:
    """A block with a number in its middle, a token a digit; digits are tokens below 10."""
    half = len(block) // 2
    return [*block[:half], *map(int, str(number)), *block[half:]]


@pytest.mark.parametrize("period", [3, 20, 100, 400])
def test_a_loop_whose_counter_changes_is_found_as_a_near_loop_only(period: int) -> None:
    rng = Random(period)
    block = [rng.randrange(10, 50_000) for _ in range(period)]
    ids = [rng.randrange(10, 50_000) for _ in range(300)]
    blocks = [counted(block, number) for number in range(7, 400)]
    text = ids + [token for one in blocks for token in one]
    found = [
        end for end in range(32, min(len(text), 3000), 32) if has_near_loop(text[:end], 0, lambda token: token < 10)
    ]
    assert found and not any(has_loop(text[:end]) for end in range(32, min(len(text), 3000), 32))
    collapsed = period + 1
    assert found[0] - len(ids) <= (3 * collapsed + 192) * len(blocks[99]) / collapsed + 64
    assert not has_near_loop(text[: found[0]], found[0] - 3 * collapsed, lambda token: token < 10)


def test_a_short_list_of_numbered_lines_is_no_near_loop() -> None:
    block = list(range(20, 28))
    assert not has_near_loop([token for n in range(20) for token in counted(block, n)], 0, lambda token: token < 10)
    assert not has_near_loop([], 0, lambda token: token < 10)
