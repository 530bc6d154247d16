"""Data loader: the rows of each step, and their division into packs or padded micro-batches.

A global batch is counted in samples or in tokens, never in packs, and is a function of (lengths, settings, seed, step):
the number of processes and of micro-batches changes the speed and not the gradient. Rows of a micro-batch are packed
end to end, with positions from 0 in each row, or padded beside rows of similar length for models that would attend
across packed rows. Plain numpy: no tensors, no model, no clock.

Departs from the reference (https://github.com/efficientscaling/Z1, train/script/train_qwen.sh), which pads all rows and
does not group them by length: there a fifth to two thirds of the computation is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.encode import EncodedRows

RowNumbers = NDArray[np.int64]
"""Numbers of rows of a dataset."""

Lengths = Sequence[int] | NDArray[np.int64]
"""Tokens of each row."""


@dataclass(frozen=True)
class PackedSchedule:
    """The rows of every step of fine-tuning; `lengths` are the tokens of each row [rows]."""

    lengths: NDArray[np.int64]
    settings: FinetuneSettings
    seed: int

    @cached_property
    def steps(self) -> int:
        """Steps in all: the whole global batches of each epoch; the remaining rows of an epoch are left out.

        Raises UserError if there is no step.
        """
        if not (steps := sum(1 for _ in self._batches())):
            size = self.settings.batch_samples or self.settings.batch_tokens
            got = f"{size} of {len(self.lengths)} rows, {self.lengths.sum():,} tokens, in {self.duration}"
            raise UserError("a global batch", got, "lower finetune.batch_samples or batch_tokens, or raise epochs")
        return steps

    @property
    def duration(self) -> str:
        """The length of training as the recipe states it."""
        if self.settings.epochs is None:
            return f"{self.settings.train_tokens or 0:,} tokens"
        return f"{self.settings.epochs:g} epochs"

    def batch(self, step: int) -> RowNumbers:
        """The rows of step `step`, of all processes together."""
        epoch, first, last = self._batch_list[step]
        return _shuffled(len(self.lengths), self.seed, epoch)[first:last]

    def micro_batches(self, step: int, rank: int, world_size: int) -> list[RowNumbers]:
        """The rows of each micro-batch that process `rank` of `world_size` computes at `step`.

        All processes have the same number of micro-batches; some may be empty, so that collectives match.
        """
        rows = self.batch(step)
        divide = make_packs if self.settings.packing else make_groups
        parts = divide(self.lengths[rows], self.settings.micro_tokens, world_size)
        return [rows[part] for part in parts[rank::world_size]]

    @cached_property
    def _batch_list(self) -> list[tuple[int, int, int]]:
        return list(self._batches())

    def _batches(self) -> Iterator[tuple[int, int, int]]:
        """Epoch, and bounds in the order of its rows, of each step."""
        if self.settings.epochs is None:
            yield from self._batches_of(self.settings.train_tokens or 0)
            return
        whole, part = divmod(self.settings.epochs, 1)
        for epoch in range(int(whole) + (part > 0)):
            bounds = self._bounds(epoch)
            count = len(bounds) - 1 if epoch < whole else round((len(bounds) - 1) * part)
            yield from ((epoch, bounds[n], bounds[n + 1]) for n in range(count))

    def _batches_of(self, tokens: int) -> Iterator[tuple[int, int, int]]:
        """As `_batches`: whole batches until at least `tokens` tokens, over as many epochs as needed."""
        epoch = 0
        while tokens > 0 and len(bounds := self._bounds(epoch)) > 1:
            ends = np.cumsum([0, *self.lengths[_shuffled(len(self.lengths), self.seed, epoch)]])
            for first, last in pairwise(bounds):
                if tokens > 0:
                    yield epoch, first, last
                    tokens -= int(ends[last] - ends[first])
            epoch += 1

    def _bounds(self, epoch: int) -> list[int]:
        """Bounds of the whole global batches of an epoch in the order of its rows."""
        if samples := self.settings.batch_samples:
            return list(range(0, len(self.lengths) + 1, samples))
        max_tokens = self.settings.batch_tokens or 0
        ends = np.cumsum([0, *self.lengths[_shuffled(len(self.lengths), self.seed, epoch)]])
        bounds = [0]
        while bounds[-1] < len(self.lengths):
            last = int(ends.searchsorted(ends[bounds[-1]] + max_tokens, "right")) - 1
            bounds.append(max(bounds[-1] + 1, last))
        is_whole = ends[-1] - ends[bounds[-2]] >= max_tokens
        return bounds if is_whole else bounds[:-1]


@lru_cache(maxsize=4)
def _shuffled(rows: int, seed: int, epoch: int) -> RowNumbers:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)


def epoch_batches(lengths: Lengths, batch_tokens: int, seed: int, epoch: int) -> list[RowNumbers]:
    """The rows of each batch of one epoch: rows of similar length, at most `batch_tokens` tokens with padding.

    A function of its arguments only, so that a resumed run has the same order.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    lengths = np.asarray(lengths)
    order = np.argsort(lengths + rng.random(len(lengths)) * 8, kind="stable")
    parts: list[RowNumbers] = []
    start = 0
    for at in range(1, len(order) + 1):
        is_full = at == len(order) or lengths[order[start : at + 1]].max() * (at + 1 - start) > batch_tokens
        if is_full:
            parts.append(order[start:at])
            start = at
    return [parts[i] for i in rng.permutation(len(parts))]


def make_packs(lengths: NDArray[np.int64], max_tokens: int, world_size: int) -> list[RowNumbers]:
    """Indices into `lengths`, divided into packs of at most `max_tokens` tokens and similar length.

    The smallest possible number of packs that `world_size` divides. The longest row is placed first, into the shortest
    pack. Longest packs come first, so that packs computed at the same time have similar lengths.
    """
    count = _round_up(max(1, -(-int(lengths.sum()) // max_tokens)), world_size)
    while (packs := _balanced(lengths, count, max_tokens)) is None:
        count += world_size
    return packs


def _balanced(lengths: NDArray[np.int64], count: int, max_tokens: int) -> list[RowNumbers] | None:
    parts: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, part) for part in range(count)]
    for row in np.argsort(-lengths, kind="stable").tolist():
        tokens, part = heappop(heap)
        tokens += int(lengths[row])
        if tokens > max_tokens and parts[part]:
            return None
        parts[part].append(row)
        heappush(heap, (tokens, part))
    order = [part for _tokens, part in sorted(heap, key=lambda one: (-one[0], one[1]))]
    return [np.array(parts[part], np.int64) for part in order]


def make_groups(lengths: NDArray[np.int64], max_tokens: int, world_size: int) -> list[RowNumbers]:
    """Indices into `lengths` in groups of similar length, at most `max_tokens` with padding, longest groups first.

    The number of groups is a multiple of `world_size`.
    """
    order = np.argsort(-lengths, kind="stable")
    parts: list[RowNumbers] = []
    while len(order):
        count = max(1, max_tokens // int(lengths[order[0]]))
        parts, order = [*parts, order[:count]], order[count:]
    target = _round_up(len(parts), world_size)
    while len(parts) < target:
        at = max(range(len(parts)), key=lambda n: len(parts[n]))
        middle = len(parts[at]) // 2
        parts[at : at + 1] = [parts[at][: len(parts[at]) - middle], parts[at][len(parts[at]) - middle :]]
    return sorted(parts, key=lambda part: len(part) == 0)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows laid end to end: `token_ids`, `positions` (from 0 in each row) and `loss_mask` [N], `cu_seqlens` [rows + 1].

    A row's first token has no loss: the token at N is predicted at N - 1, so no row is predicted from its neighbour.
    """

    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    loss_mask: NDArray[np.bool_]
    cu_seqlens: NDArray[np.int32]

    @property
    def max_seqlen(self) -> int:
        """Tokens of the longest row."""
        return int(np.diff(self.cu_seqlens).max())


def pack(rows: EncodedRows, numbers: RowNumbers) -> Pack:
    """The rows `numbers` as one pack; without rows, one token without loss."""
    if not len(numbers):
        return Pack(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.bool_), np.array([0, 1], np.int32))
    spans = _spans(rows, numbers)
    return Pack(
        np.concatenate([rows.token_ids[span] for span in spans]).astype(np.int64),
        np.concatenate([np.arange(span.stop - span.start) for span in spans]),
        np.concatenate([rows.loss_mask[span] for span in spans]),
        np.cumsum([0, *(span.stop - span.start for span in spans)], dtype=np.int32),
    )


def pad(rows: EncodedRows, numbers: RowNumbers) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids and loss mask [B, T] of the rows `numbers`; padding (token 0) is on the right and has no loss.

    Without rows, one row of one token without loss.
    """
    spans = _spans(rows, numbers)
    longest = max((span.stop - span.start for span in spans), default=1)
    token_ids = np.zeros((max(1, len(spans)), longest), np.int64)
    loss_mask = np.zeros(token_ids.shape, np.bool_)
    for row, span in enumerate(spans):
        token_ids[row, : span.stop - span.start] = rows.token_ids[span]
        loss_mask[row, : span.stop - span.start] = rows.loss_mask[span]
    return token_ids, loss_mask


def _spans(rows: EncodedRows, numbers: RowNumbers) -> list[slice]:
    return [slice(int(rows.starts[n]), int(rows.starts[n + 1])) for n in numbers]
