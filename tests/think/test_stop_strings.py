"""A stop string is complete at the same token for any chunks."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.errors import UserError
from z1.think import End, Flow, StopStrings, Window

PIECES = (b"a", b"b", b"ab", b"ba", b"", b"xaby", b"\xc3", b"\xa9", b"a\xc3")
SEEDS = st.integers(0, 2**48)


@given(SEEDS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_match_ends_with_the_first_token_that_completes_a_string(seed: int) -> None:
    random = Random(seed)
    ids = random.choices(range(len(PIECES)), k=random.randint(0, 20))
    strings = [b"".join(random.choices(PIECES, k=3)) or b"a" for _ in range(random.randint(1, 3))]
    found = StopStrings(strings, PIECES.__getitem__)
    left = list(ids)
    while left:
        size = random.randint(1, 4)
        found.feed(left[:size])
        left = left[size:]
    texts = [b"".join(PIECES[token] for token in ids[:count]) for count in range(len(ids) + 1)]
    assert found.match_end == next((n for n, text in enumerate(texts) if any(s in text for s in strings)), None)
    assert found.feed([0]) == found.match_end or found.match_end is not None


def test_an_empty_stop_string_is_rejected() -> None:
    with pytest.raises(UserError, match="stop string"):
        StopStrings([b"a", b""], PIECES.__getitem__)


def test_tokens_after_the_stop_string_are_dropped() -> None:
    flow = Flow(Window(1, 6, (5,), frozenset()), 100, stop_strings=StopStrings([b"ab"], PIECES.__getitem__))
    flow.add_tokens([2])  # the string is in the thought, which ends nothing
    flow.add_tokens([5])
    flow.add_tokens([0, 1, 0, 0])
    assert (flow.token_ids, flow.end) == ([2, 5, 0, 1], End.STRING)
    assert flow.ledger().answer == 2


@given(SEEDS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_forced_text_counts_with_the_answer_after_it(seed: int) -> None:
    """The part of a forced text that belongs to the answer, and a string across its border, in any chunks."""
    random = Random(seed)
    forced, ids = (random.choices(range(len(PIECES)), k=random.randint(0, 9)) for _ in range(2))
    strings = [b"".join(random.choices(PIECES, k=3)) or b"a" for _ in range(random.randint(1, 3))]
    skipped = random.randint(0, 4)
    found = StopStrings(strings, PIECES.__getitem__, lambda text: text[skipped:])
    prefix = b"".join(PIECES[token] for token in forced)[skipped:]
    assert found.feed_forced(forced) is any(string in prefix for string in strings)
    left = list(ids)
    while left:
        size = random.randint(1, 4)
        found.feed(left[:size])
        left = left[size:]
    texts = [prefix + b"".join(PIECES[token] for token in ids[:count]) for count in range(len(ids) + 1)]
    assert found.match_end == next((n for n, text in enumerate(texts) if any(s in text for s in strings)), None)


def test_a_string_in_a_forced_text_ends_the_reply_before_any_answer() -> None:
    strings = StopStrings([b"ab"], PIECES.__getitem__, lambda text: text)
    flow = Flow(Window(1, 6, (2,), frozenset()), 100, stop_strings=strings)
    flow.add_tokens([1])
    flow.add_tokens([2])
    assert (flow.token_ids, flow.end) == ([1, 2], End.STRING)
    assert (flow.ledger().hint, flow.ledger().answer) == (1, 0)
