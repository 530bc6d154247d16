"""Which rows does each step see, and which process computes which of them?

A global batch is counted in samples or in tokens, never in packs, and is a function of (lengths, settings, seed, step):
how many processes compute it, and how it is cut into micro-batches, changes the speed and not the gradient. Rows of a
micro-batch are packed end to end, their positions beginning anew, or padded beside rows of like length where a model
cannot be kept from attending across rows. Plain numpy: no tensor, no model, no clock.

Departs from the reference (https://github.com/efficientscaling/Z1, train/script/train_qwen.sh), which pads everything
and never shuffles lengths together: there a fifth to two thirds of what is computed is padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.encode import EncodedRows

Numbers = NDArray[np.int64]
"""Row numbers."""


@dataclass(frozen=True)
class PackedSchedule:
    """The order of rows of a whole training: `lengths` are the ids of each row [rows]."""

    lengths: Numbers
    settings: FinetuneSettings
    seed: int

    @cached_property
    def steps(self) -> int:
        """Steps in all: whole global batches of each epoch; what is left over of an epoch stays out of it.

        Raises UserError where there would be none.
        """
        if not (steps := sum(1 for _ in self._starts())):
            asked = self.settings.batch_samples or self.settings.batch_tokens
            got = f"{asked} of {len(self.lengths)} rows, {self.lengths.sum():,} ids, in {self.settings.epochs} epochs"
            raise UserError("a global batch", got, "lower finetune.batch_samples or batch_tokens, or raise epochs")
        return steps

    def batch(self, step: int) -> Numbers:
        """The rows of step `step`, of all processes together."""
        epoch, first, last = self._where[step]
        return _shuffled(len(self.lengths), self.seed, epoch)[first:last]

    def micro_batches(self, step: int, rank: int, world: int) -> list[Numbers]:
        """The rows of each micro-batch that process `rank` of `world` computes at `step`.

        All processes have equally many; an empty one is there only so that they stay in step.
        """
        rows = self.batch(step)
        divide = packs if self.settings.packing else groups
        parts = divide(self.lengths[rows], self.settings.micro_tokens, world)
        return [rows[part] for part in parts[rank::world]]

    @cached_property
    def _where(self) -> list[tuple[int, int, int]]:
        return list(self._starts())

    def _starts(self) -> Iterator[tuple[int, int, int]]:
        """Epoch, and first and last row in its order, of each step."""
        whole, part = divmod(self.settings.epochs, 1)
        for epoch in range(int(whole) + (part > 0)):
            borders = self._borders(epoch)
            wanted = len(borders) - 1 if epoch < whole else round((len(borders) - 1) * part)
            yield from ((epoch, borders[n], borders[n + 1]) for n in range(wanted))

    def _borders(self, epoch: int) -> list[int]:
        """Where the whole global batches of an epoch begin and end in its order."""
        if samples := self.settings.batch_samples:
            return list(range(0, len(self.lengths) + 1, samples))
        room = self.settings.batch_tokens or 0
        ends = np.cumsum([0, *self.lengths[_shuffled(len(self.lengths), self.seed, epoch)]])
        borders = [0]
        while borders[-1] < len(self.lengths):
            fits = int(ends.searchsorted(ends[borders[-1]] + room, "right")) - 1
            borders.append(max(borders[-1] + 1, fits))
        whole = ends[-1] - ends[borders[-2]] >= room
        return borders if whole else borders[:-1]


@lru_cache(maxsize=4)
def _shuffled(rows: int, seed: int, epoch: int) -> Numbers:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)


def packs(sizes: Numbers, room: int, world: int) -> list[Numbers]:
    """Indices into `sizes`, divided into packs of at most `room` ids that are as long as each other.

    As few packs as fit, in a number that `world` divides; the longest row goes first, into the shortest pack. Longest
    packs first, so that those that are computed at once are of like length.
    """
    count = _multiple(max(1, -(-int(sizes.sum()) // room)), world)
    while (found := _balanced(sizes, count, room)) is None:
        count += world
    return found


def _balanced(sizes: Numbers, count: int, room: int) -> list[Numbers] | None:
    parts: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, part) for part in range(count)]
    for row in np.argsort(-sizes, kind="stable").tolist():
        filled, part = heappop(heap)
        filled += int(sizes[row])
        if filled > room and parts[part]:
            return None
        parts[part].append(row)
        heappush(heap, (filled, part))
    order = [part for _filled, part in sorted(heap, key=lambda one: (-one[0], one[1]))]
    return [np.array(parts[part], np.int64) for part in order]


def groups(sizes: Numbers, room: int, world: int) -> list[Numbers]:
    """Indices into `sizes`, divided into groups of rows of like length: at most `room` ids with padding.

    In a number that `world` divides; longest first.
    """
    order = np.argsort(-sizes, kind="stable")
    parts: list[Numbers] = []
    while len(order):
        fit = max(1, room // int(sizes[order[0]]))
        parts.append(order[:fit])
        order = order[fit:]
    wanted = _multiple(len(parts), world)
    while len(parts) < wanted:
        at = max(range(len(parts)), key=lambda n: len(parts[n]))
        middle = len(parts[at]) // 2
        parts[at : at + 1] = [parts[at][: len(parts[at]) - middle], parts[at][len(parts[at]) - middle :]]
    return sorted(parts, key=lambda part: len(part) == 0)


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows laid end to end: `token_ids`, `positions` (from 0 in each row) and `loss_mask` [N], `cu_seqlens` [rows + 1].

    The first id of a row is never learned: what stands at N is taught at N - 1, so no row is taught by its neighbour.
    """

    token_ids: Numbers
    positions: Numbers
    loss_mask: NDArray[np.bool_]
    cu_seqlens: NDArray[np.int32]

    @property
    def max_seqlen(self) -> int:
        """Ids of the longest row."""
        return int(np.diff(self.cu_seqlens).max())


def pack(rows: EncodedRows, numbers: Numbers) -> Pack:
    """The rows `numbers` as one pack; none as one id that teaches nothing."""
    if not len(numbers):
        return Pack(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.bool_), np.array([0, 1], np.int32))
    spans = [slice(int(rows.starts[n]), int(rows.starts[n + 1])) for n in numbers]
    return Pack(
        np.concatenate([rows.token_ids[span] for span in spans]).astype(np.int64),
        np.concatenate([np.arange(span.stop - span.start) for span in spans]),
        np.concatenate([rows.loss_mask[span] for span in spans]),
        np.cumsum([0, *(span.stop - span.start for span in spans)], dtype=np.int32),
    )


def padded(rows: EncodedRows, numbers: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """Ids and learned mask [B, T] of the rows `numbers`; padding (id 0) stands at the end and is not learned.

    None are one row of one id that teaches nothing.
    """
    spans = [slice(int(rows.starts[n]), int(rows.starts[n + 1])) for n in numbers]
    longest = max((span.stop - span.start for span in spans), default=1)
    ids = np.zeros((max(1, len(spans)), longest), np.int64)
    learned = np.zeros(ids.shape, np.bool_)
    for row, span in enumerate(spans):
        ids[row, : span.stop - span.start] = rows.token_ids[span]
        learned[row, : span.stop - span.start] = rows.loss_mask[span]
    return ids, learned
