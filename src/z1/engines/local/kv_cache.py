"""KV cache slot allocation with prefix reuse and eviction.

A sequence owns a *slot* of the KV cache from its first prefill until it is closed or evicted. A released slot stays
readable until it is allocated again. A new sequence copies the longest prefix that any slot holds, so a system prompt,
few-shot examples, or what a fork shares with its origin are computed once. If the cache is full, sequences wait; one
that was not sampled lately is evicted and recomputed when it is sampled again. The tensors are in `decoder.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

MIN_SHARED_PREFIX = 32
"""Tokens of a shared prefix below which a copy is not worth it; a fork copies a prefix of any length."""

EVICT_AFTER_STEPS = 8
"""Steps without a sample after which a sequence may be evicted."""


@dataclass(slots=True, eq=False)
class SequenceState:
    """The tokens of a sequence, append-only. `slot` has keys and values of the first `num_computed_tokens`.

    `is_fork` is true for a copy of another sequence. `last_used_step` is the last step in which it was sampled.
    """

    token_ids: list[int]
    is_fork: bool = False
    slot: int | None = None
    num_computed_tokens: int = 0
    last_used_step: int = 0

    @property
    def min_shared_prefix(self) -> int:
        """The shortest prefix that is worth a copy."""
        return 1 if self.is_fork else MIN_SHARED_PREFIX


class KVCache:
    """The owners of `num_slots` slots. `copy(source, target, length)` copies the first `length` positions of a slot."""

    def __init__(self, num_slots: int, copy: Callable[[int, int, int], None]) -> None:
        self.num_slots, self._copy = num_slots, copy
        self._owners: list[SequenceState | None] = [None] * num_slots
        self._released: list[tuple[Sequence[int], int]] = [((), 0)] * num_slots
        """Tokens and their number that each free slot still holds."""

    @property
    def free_slots(self) -> list[int]:
        """Slots without an owner, lowest first."""
        return [slot for slot, owner in enumerate(self._owners) if owner is None]

    def allocate(self, sequence: SequenceState, step: int) -> bool:
        """Give `sequence` a slot, with a copy of the longest cached prefix; False if it must wait."""
        free = self._evict(step) if None not in self._owners else self._owners.index(None)
        if free is None:
            return False
        source, shared = self.longest_prefix(sequence)
        if shared and source != free:
            self._copy(source, free, shared)
        sequence.slot, sequence.num_computed_tokens = free, shared
        self._owners[free] = sequence
        return True

    def longest_prefix(self, sequence: SequenceState) -> tuple[int, int]:
        """The slot with the longest prefix of `sequence`, and its length; (0, 0) if none is worth a copy.

        The last token is never part of it: its logits are needed.
        """
        best, minimum = (0, 0), sequence.min_shared_prefix
        if len(sequence.token_ids) <= minimum:
            return best
        for slot, owner in enumerate(self._owners):
            cached = self._released[slot] if owner is None else (owner.token_ids, owner.num_computed_tokens)
            token_ids, count = cached[0], min(cached[1], len(sequence.token_ids) - 1)
            if count > best[1] and count >= minimum:
                shared = common_prefix_length(token_ids, sequence.token_ids, count, minimum)
                if shared > best[1]:
                    best = slot, shared
        return best

    def release(self, sequence: SequenceState) -> None:
        """Take back the slot of `sequence`; releasing twice has no effect."""
        if sequence.slot is not None:
            self._released[sequence.slot] = sequence.token_ids, sequence.num_computed_tokens
            self._owners[sequence.slot] = None
            sequence.slot, sequence.num_computed_tokens = None, 0

    def compact(self, sequences: Collection[SequenceState]) -> None:
        """Move `sequences` down into free slots, so that they are contiguous at the start of the cache."""
        while sequences:
            last = max(sequences, key=_slot)
            top = _slot(last)
            free = self._owners.index(None) if top >= len(sequences) and None in self._owners else top
            if free >= top:
                return
            computed = last.num_computed_tokens
            self._copy(top, free, computed)
            self.release(last)
            last.slot, last.num_computed_tokens = free, computed
            self._owners[free] = last

    def _evict(self, step: int) -> int | None:
        """Free the slot of the least recently used sequence, if it may be evicted."""
        idle = [
            owner for owner in self._owners if owner is not None and step - owner.last_used_step > EVICT_AFTER_STEPS
        ]
        if not idle:
            return None
        evicted = min(idle, key=lambda owner: owner.last_used_step)
        slot = _slot(evicted)
        self.release(evicted)
        return slot


def common_prefix_length(one: Sequence[int], other: Sequence[int], maximum: int, minimum: int = 1) -> int:
    """How many of the first `maximum` tokens two sequences share; 0 if fewer than `minimum`."""
    if one[:maximum] == other[:maximum]:
        return maximum if maximum >= minimum else 0
    if one[:minimum] != other[:minimum]:
        return 0
    low, high = minimum, maximum  # the first `low` are shared, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


def will_share_more(sequence: SequenceState, prefilling: Sequence[SequenceState], cached: int) -> bool:
    """Whether one of `prefilling` will soon share more of `sequence` than the `cached` tokens that are shared now."""
    minimum = cached + MIN_SHARED_PREFIX
    for other in prefilling:
        maximum = min(len(other.token_ids), len(sequence.token_ids) - 1)
        if maximum >= minimum and common_prefix_length(other.token_ids, sequence.token_ids, maximum, minimum):
            return True
    return False


def _slot(sequence: SequenceState) -> int:
    return -1 if sequence.slot is None else sequence.slot
