"""Which context has which place in the store of keys and values?

A context owns a *slot* from when it is first computed until it is closed or evicted; what it held stays readable until
another takes its slot. A context that comes in takes over the longest beginning that any slot holds, by a copy: so a
system prompt, a few examples or what a fork has in common with its origin are computed once. A full store makes
contexts wait; one that has not been asked for anything lately gives way and is computed again when it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

SHARED = 32
"""Ids that two contexts must have in common for a copy to be worth it; a fork copies whatever there is."""

PATIENCE = 8
"""Steps in which a context may ask for nothing before another may take its slot."""


@dataclass(slots=True, eq=False)
class SequenceState:
    """Ids that are only ever added to. Keys and values of the first `computed` lie in `slot`.

    `forked` says that it began as another's copy. `last_used` is the last step in which something was asked of it.
    """

    token_ids: list[int]
    forked: bool = False
    slot: int | None = None
    computed: int = 0
    last_used: int = 0

    @property
    def least(self) -> int:
        """The shortest beginning that is worth a copy."""
        return 1 if self.forked else SHARED


class KVCache:
    """Owners of `count` slots. `copy(source, target, length)` copies the first `length` places of a slot."""

    def __init__(self, count: int, copy: Callable[[int, int, int], None]) -> None:
        self.count, self._copy = count, copy
        self._owners: list[SequenceState | None] = [None] * count
        self._held: list[tuple[Sequence[int], int]] = [((), 0)] * count

    @property
    def free(self) -> list[int]:
        """Slots without an owner, lowest first."""
        return [slot for slot, owner in enumerate(self._owners) if owner is None]

    def place(self, context: SequenceState, step: int) -> bool:
        """Give `context` a slot, and in it the longest beginning that is held; False if it must wait."""
        free = self._evict(step) if None not in self._owners else self._owners.index(None)
        if free is None:
            return False
        source, shared = self.longest(context)
        if shared and source != free:
            self._copy(source, free, shared)
        context.slot, context.computed = free, shared
        self._owners[free] = context
        return True

    def longest(self, context: SequenceState) -> tuple[int, int]:
        """The slot that holds most of the beginning of `context`, and how many ids; (0, 0) if none is worth a copy.

        The last id is never among them, since what follows it is what is wanted.
        """
        best = (0, 0)
        if len(context.token_ids) <= context.least:
            return best
        for slot, owner in enumerate(self._owners):
            ids, count = self._held[slot] if owner is None else (owner.token_ids, owner.computed)
            count = min(count, len(context.token_ids) - 1)
            if count > best[1] and count >= context.least:
                shared = common(ids, context.token_ids, count, context.least)
                if shared > best[1]:
                    best = slot, shared
        return best

    def release(self, context: SequenceState) -> None:
        """Take the slot of `context` back; doing so twice is no fault."""
        if context.slot is not None:
            self._held[context.slot] = context.token_ids, context.computed
            self._owners[context.slot] = None
            context.slot, context.computed = None, 0

    def settle(self, contexts: Collection[SequenceState]) -> None:
        """Move `contexts` down into free slots, so that they lie together at the store's beginning."""
        while contexts:
            context = max(contexts, key=_slot)
            top = _slot(context)
            free = self._owners.index(None) if top >= len(contexts) and None in self._owners else top
            if free >= top:
                return
            computed = context.computed
            self._copy(top, free, computed)
            self.release(context)
            context.slot, context.computed = free, computed
            self._owners[free] = context

    def _evict(self, step: int) -> int | None:
        """Free the slot of the owner that has been idle longest, if that is long enough."""
        idle = [owner for owner in self._owners if owner is not None and step - owner.last_used > PATIENCE]
        if not idle:
            return None
        longest = min(idle, key=lambda owner: owner.last_used)
        slot = _slot(longest)
        self.release(longest)
        return slot


def common(one: Sequence[int], other: Sequence[int], most: int, least: int = 1) -> int:
    """How many of the first `most` ids two sequences share; 0 where they are fewer than `least`."""
    if one[:most] == other[:most]:
        return most if most >= least else 0
    if one[:least] != other[:least]:
        return 0
    low, high = least, most  # the first `low` are shared, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


def shared_soon(context: SequenceState, coming: Sequence[SequenceState], held: int) -> bool:
    """Whether waiting for one of `coming` to be computed gives `context` more than the `held` ids that it has now."""
    most = (min(len(other.token_ids), len(context.token_ids) - 1) for other in coming)
    return any(
        count >= held + SHARED and common(other.token_ids, context.token_ids, count, held + SHARED)
        for count, other in zip(most, coming, strict=True)
    )


def _slot(context: SequenceState) -> int:
    return -1 if context.slot is None else context.slot
