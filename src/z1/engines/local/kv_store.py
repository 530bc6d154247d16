"""The tensors of the KV cache: keys and values of every layer, as large as the sequences need.

Slots and length grow together for all layers, but one layer after another, so growing needs room for one more layer
and not for a second cache. On a CPU each tensor is a private memory mapping, which returns to the system when it is
replaced: malloc keeps what was freed, here up to a quarter of all memory. Keys are [S, D, length] and values [S,
length, D], S is slots times key/value heads.
"""

from __future__ import annotations

from math import prod
from mmap import ACCESS_COPY, mmap

import torch
from torch import Tensor

TILE = 32
"""Lengths are rounded up to this."""

ROW_PADDING = 16
"""Elements of padding in each row: rows of a power of two would share a few sets of the processor's cache."""


class LayerCache:
    """One layer's keys [S, D, length] and values [S, length, D], and flat views of both."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values
        self.flat_keys, self.flat_values = keys.view(-1), values.view(-1, values.shape[-1])


class KVStore:
    """The keys and values of up to `slots` sequences of up to `length` tokens.

    `like` has the device and dtype; `shape` is (layers, key/value heads, size of a head).
    """

    def __init__(self, like: Tensor, shape: tuple[int, int, int], slots: int, length: int) -> None:
        self.max_slots, self.max_length = slots, length
        self._heads, self._size = shape[1:]
        self.held_slots = self.held_length = 0
        """Sequences and tokens for which memory is allocated."""
        empty = LayerCache(like.new_zeros(0, self._size, ROW_PADDING), like.new_zeros(0, ROW_PADDING, self._size))
        self.layers = [empty] * shape[0]
        self._offset = torch.arange(self._heads, device=like.device)
        self._size_offset = torch.arange(self._heads * self._size, device=like.device)

    @property
    def capacity(self) -> int:
        """The length of a row in memory."""
        return self.held_length + ROW_PADDING

    def reserve(self, slots: int, length: int) -> None:
        """Have room for `slots` sequences of `length` tokens; each growth leaves some to spare."""
        slots, length = max(slots, self.held_slots), max(round_up(length, self.max_length), self.held_length)
        if (slots, length) == (self.held_slots, self.held_length):
            return
        if slots > self.held_slots:
            slots = min(self.max_slots, max(slots, self.held_slots + self.held_slots // 2))
        if length > self.held_length:
            length = round_up(max(length, self.held_length + self.held_length // 4), self.max_length)
        rows, held = self.held_slots * self._heads, self.held_length
        for number, old in enumerate(self.layers):
            keys = _zeros(old.keys, slots * self._heads, self._size, length + ROW_PADDING)
            values = _zeros(old.values, slots * self._heads, length + ROW_PADDING, self._size)
            keys[:rows, :, :held], values[:rows, :held] = old.keys[:, :, :held], old.values[:, :held]
            self.layers[number] = LayerCache(keys, values)
            del old  # before the next layer is allocated
        self.held_slots, self.held_length = slots, length

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` to slot `target`."""
        self.reserve(max(source, target) + 1, length)
        to, of = (slice(slot * self._heads, (slot + 1) * self._heads) for slot in (target, source))
        for layer in self.layers:
            layer.keys[to, :, :length] = layer.keys[of, :, :length]
            layer.values[to, :length] = layer.values[of, :length]

    def indices(self, slots: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Where in the flat keys and the flat values the tokens at `positions` of `slots` are."""
        keys = slots * (self._heads * self._size * self.capacity) + positions
        values = slots * (self._heads * self.capacity) + positions
        key_index = keys[:, None] + self._size_offset * self.capacity
        return key_index.flatten(), (values[:, None] + self._offset * self.capacity).flatten()


def round_up(length: int, maximum: int) -> int:
    """`length` rounded up to whole tiles, at most `maximum`."""
    return min(maximum, -(-length // TILE) * TILE)


def _zeros(like: Tensor, *shape: int) -> Tensor:
    """Zeros of `shape`, with the device and dtype of `like`."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    memory = mmap(-1, prod(shape) * like.element_size(), access=ACCESS_COPY)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)
