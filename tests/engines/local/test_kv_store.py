"""The tensors of the KV cache grow by layers, keep what they hold, and copy slots."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from z1.engines.local.kv_store import TILE, KVStore, round_up

SLOTS, LENGTH, LAYERS, HEADS, SIZE = 7, 200, 3, 2, 4


def store() -> KVStore:
    return KVStore(torch.zeros(0), (LAYERS, HEADS, SIZE), SLOTS, LENGTH)


def write(kv: KVStore, slot: int, position: int, value: float) -> None:
    kv.reserve(slot + 1, position + 1)
    keys, values = kv.indices(torch.tensor([slot]), torch.tensor([position]))
    for number, layer in enumerate(kv.layers):
        layer.flat_keys[keys] = value + number
        layer.flat_values[values] = value + number


def read(kv: KVStore, slot: int, position: int) -> float:
    heads = slice(slot * HEADS, (slot + 1) * HEADS)
    found = {
        float(value) - number
        for number, layer in enumerate(kv.layers)
        for part in (layer.keys[heads, :, position], layer.values[heads, position])
        for value in part.flatten()
    }
    assert len(found) == 1
    return found.pop()


PLACES = st.tuples(st.integers(0, SLOTS - 1), st.integers(0, LENGTH - 1))


@given(st.lists(st.tuples(PLACES, st.integers(1, 1000)), min_size=1, max_size=12))
def test_what_was_written_is_there_after_growing(writes: list[tuple[tuple[int, int], int]]) -> None:
    kv, expected = store(), {}
    for (slot, position), value in writes:
        write(kv, slot, position, value)
        expected[slot, position] = value
    assert all(read(kv, *place) == value for place, value in expected.items())
    assert kv.held_slots <= SLOTS
    assert kv.held_length <= LENGTH


@given(st.integers(0, SLOTS - 1), st.integers(0, SLOTS - 1), st.integers(1, LENGTH))
def test_a_copy_has_the_first_positions(source: int, target: int, length: int) -> None:
    kv = store()
    write(kv, source, 0, 5)
    write(kv, source, length - 1, 7)
    kv.copy(source, target, length)
    assert read(kv, target, length - 1) == 7
    assert read(kv, target, 0) == (7 if length == 1 else 5)


def test_memory_follows_need() -> None:
    kv = store()
    kv.reserve(1, 1)
    assert (kv.held_slots, kv.held_length) == (1, TILE)
    kv.reserve(SLOTS, LENGTH)
    assert (kv.held_slots, kv.held_length) == (SLOTS, LENGTH)
    kv.reserve(1, 1)
    assert (kv.held_slots, kv.held_length) == (SLOTS, LENGTH)


@pytest.mark.parametrize(("length", "rounded"), [(1, 32), (32, 32), (33, 64), (199, 200), (200, 200)])
def test_lengths_are_whole_tiles(length: int, rounded: int) -> None:
    assert round_up(length, LENGTH) == rounded
