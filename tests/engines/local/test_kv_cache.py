"""KV cache slots: a sequence always finds its own prefix in its slot."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z1.engines.local.kv_cache import (
    EVICT_AFTER_STEPS,
    MIN_SHARED_PREFIX,
    KVCache,
    SequenceState,
    common_prefix_length,
    will_share_more,
)


class Store:
    """A cache of tokens, as a stand-in for their keys and values."""

    def __init__(self, count: int) -> None:
        self.places: list[list[int]] = [[] for _ in range(count)]
        self.copied = 0
        self.slots = KVCache(count, self._copy)

    def _copy(self, source: int, target: int, length: int) -> None:
        self.places[target] = self.places[source][:length]
        self.copied += length

    def compute(self, context: SequenceState) -> int:
        """All that is not computed yet; how many ids that was."""
        assert context.slot is not None
        count = len(context.token_ids) - context.num_computed_tokens
        self.places[context.slot] = (
            self.places[context.slot][: context.num_computed_tokens] + context.token_ids[context.num_computed_tokens :]
        )
        context.num_computed_tokens = len(context.token_ids)
        return count


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=80)
def test_a_slot_holds_a_prefix_of_its_owner(seed: int, count: int) -> None:
    """Under random arrivals, departures, growth, forks, waits and moves."""
    rng, store = random.Random(seed), Store(count)
    live: list[SequenceState] = []
    for step in range(60):
        if rng.random() < 0.4:
            ids = [rng.randrange(2) for _ in range(rng.randrange(1, 4))]
            live.append(SequenceState([1] * rng.choice([0, MIN_SHARED_PREFIX, 2 * MIN_SHARED_PREFIX]) + ids))
        if live and rng.random() < 0.3:
            live.append(SequenceState(list(rng.choice(live).token_ids), is_fork=True))
        asked = [context for context in live if rng.random() < 0.5]
        placed = []
        for context in asked:
            context.last_used_step = step
            if context.slot is not None or store.slots.allocate(context, step):
                placed.append(context)
        store.slots.compact(placed)
        for context in placed:
            context.token_ids.append(rng.randrange(2))
            assert store.compute(context) > 0
        for context in live:
            if context.slot is not None:
                assert (
                    store.places[context.slot][: context.num_computed_tokens]
                    == context.token_ids[: context.num_computed_tokens]
                )
        owned = [context.slot for context in live if context.slot is not None]
        assert sorted([*owned, *store.slots.free_slots]) == list(range(count))
        if live and rng.random() < 0.3:
            store.slots.release(live.pop(rng.randrange(len(live))))
    for context in live:
        store.slots.release(context)
        store.slots.release(context)
    assert store.slots.free_slots == list(range(count))


def test_a_shared_prefix_is_computed_once() -> None:
    store = Store(3)
    beginning = list(range(100))
    computed = []
    for end in range(5):
        context = SequenceState([*beginning, 200 + end])
        assert store.slots.allocate(context, 0)
        computed.append(store.compute(context))
        store.slots.release(context)  # what it held stays readable
    assert computed == [101, 1, 1, 1, 1]


def test_only_a_fork_copies_a_short_prefix() -> None:
    store = Store(3)
    origin = SequenceState([1, 2, 3, 4])
    store.slots.allocate(origin, 0)
    store.compute(origin)
    fork, stranger = SequenceState([1, 2, 3, 4], is_fork=True), SequenceState([1, 2, 3, 4])
    store.slots.allocate(fork, 0)
    store.slots.allocate(stranger, 0)
    assert (store.compute(fork), store.compute(stranger)) == (1, 4)


def test_only_idle_sequences_are_evicted() -> None:
    store = Store(2)
    old, busy, new = SequenceState([1]), SequenceState([2]), SequenceState([3])
    for context in (old, busy):
        store.slots.allocate(context, 0)
        store.compute(context)
    assert not store.slots.allocate(new, EVICT_AFTER_STEPS)
    busy.last_used_step = EVICT_AFTER_STEPS
    assert store.slots.allocate(new, EVICT_AFTER_STEPS + 1)
    assert (old.slot, old.num_computed_tokens) == (None, 0)
    assert busy.slot == 1


def test_compaction_moves_sequences_into_free_slots() -> None:
    store = Store(4)
    contexts = [SequenceState([i, i + 1]) for i in range(4)]
    for context in contexts:
        store.slots.allocate(context, 0)
        store.compute(context)
    store.slots.release(contexts[0])
    store.slots.release(contexts[2])
    store.slots.compact([contexts[1], contexts[3]])
    assert (contexts[3].slot, contexts[1].slot) == (0, 1)
    assert store.places[0] == [3, 4]


@given(st.lists(st.integers(0, 1), max_size=40), st.lists(st.integers(0, 1), max_size=40), st.integers(1, 9))
def test_common_prefix_length(one: list[int], other: list[int], least: int) -> None:
    most = min(len(one), len(other))
    wanted = next((i for i in range(most) if one[i] != other[i]), most)
    assert common_prefix_length(one, other, most, least) == (wanted if wanted >= least else 0)


@pytest.mark.parametrize(
    ("held", "wanted"), [(0, True), (100 - MIN_SHARED_PREFIX, True), (101 - MIN_SHARED_PREFIX, False)]
)
def test_a_sequence_waits_for_a_prefix_that_is_long_enough(held: int, wanted: bool) -> None:
    context, other = SequenceState([*range(100), 7]), SequenceState([*range(100), 8])
    assert will_share_more(context, [SequenceState([9] * 300), other], held) is wanted
    assert not will_share_more(context, [], 0)
