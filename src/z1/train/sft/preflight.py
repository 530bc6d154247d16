"""What is a fine-tuning about to do, and should it?

Everything that decides what is learned, counted on the encoded rows themselves before any weight is loaded: what was
left out, what of each row is learned, whether rows end, and how samples become steps and micro-batches. A training that
would learn nothing, or not what its recipe says, is refused by name. Source of the faults that it looks for: the
released script of the paper truncates every sample to 512 ids and with it most ends, and trains with twice the batch
that the paper names (https://github.com/efficientscaling/Z1, train/train.py, train/script/train_qwen.sh).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.encode import KEPT, NO_FENCE, EncodedRows
from z1.train.packing import PackedSchedule
from z1.train.sft import estimate
from z1.train.sft.estimate import ModelShape
from z1.train.token_cache import DroppedRow, EncodedDataset

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

LOOKED_AT = 64
"""Steps, spread over the training, whose micro-batches are counted."""

GIGA, PETA = 1e9, 1e15


@dataclass(frozen=True)
class Preflight:
    """The rows to be learned, the plan of their batches, and by how many processes."""

    encoded: EncodedDataset
    held_out: EncodedRows | None
    schedule: PackedSchedule
    end_token_id: int
    """The id that ends a row."""
    shape: ModelShape
    world_size: int = 1

    @property
    def rows(self) -> EncodedRows:
        """The rows to be learned."""
        return self.encoded.rows

    @cached_property
    def learned(self) -> NDArray[np.int64]:
        """Learned ids of each row; counted once, over all ids of the dataset."""
        return self.rows.learned_counts

    @property
    def settings(self) -> FinetuneSettings:
        """The recipe's `[finetune]`."""
        return self.schedule.settings

    def rows_without_end(self) -> int:
        """Rows whose end is not learned: from them the model learns to go on."""
        last = self.rows.starts[1:] - 1
        return int((~((self.rows.token_ids[last] == self.end_token_id) & self.rows.loss_mask[last])).sum())

    def rows_with_early_end(self) -> int:
        """Rows that learn an end before their end: their text holds it."""
        ends = np.add.reduceat(
            (self.rows.token_ids == self.end_token_id) & self.rows.loss_mask, self.rows.starts[:-1], dtype=np.int64
        )
        return int((ends > 1).sum())

    def check(self) -> None:
        """Raise UserError where this would train on nothing, on less than was meant, or in other steps."""
        if nothing := int((self.learned == 0).sum()):
            row = int(np.argmin(self.learned))
            raise UserError("rows with nothing to learn", f"{nothing}, the first at place {row}", "correct the dataset")
        lost = [note for note in self.encoded.notes if note.reason != NO_FENCE]
        every = len(self.rows) + sum(note.reason not in KEPT for note in lost)
        if len(lost) > self.settings.max_dropped * every:
            got = f"{len(lost):,} of {every:,} rows left out or truncated ({_counted(lost)})"
            do = f"raise finetune.max_length above {self.settings.max_length}, or finetune.left_out if it is meant"
            raise UserError("the rows to learn from", got, do)
        if self.settings.steps not in (None, self.schedule.steps):
            got = f"{self.schedule.steps:,} from {len(self.rows):,} rows, not the {self.settings.steps:,} of the recipe"
            raise UserError("the steps", got, "correct finetune.steps, or the batch and the epochs")

    def summary(self) -> Iterator[tuple[str, str]]:
        """What is about to happen: a name and a finding each."""
        yield "rows", self._counts()
        if notes := self.encoded.notes:
            yield "left out", f"{_counted(notes)}; all of them by name in notes.jsonl"
        yield "learned", f"{_spread(self.learned)} ids a row; {self._share():.1%} of all ids"
        yield "length", f"{_spread(self.rows.lengths)} ids a row"
        lost, early = self.rows_without_end(), self.rows_with_early_end()
        yield "ends", f"{lost:,} rows lose theirs, {early:,} hold another one in their text"
        yield "steps", self._steps()
        yield "a step", self._step()
        yield "processes", self._micro_batches()
        yield "memory", self._memory()
        yield "time", self._time()

    def _counts(self) -> str:
        held = f", {len(self.held_out):,} held out" if self.held_out is not None else ""
        return f"{len(self.rows):,} to learn from, {len(self.rows.token_ids):,} ids{held}"

    def _share(self) -> float:
        return float(self.learned.sum() / len(self.rows.token_ids))

    def _steps(self) -> str:
        chosen, steps = self.settings, self.schedule.steps
        if samples := chosen.batch_samples:
            each, over = divmod(len(self.rows), samples)
            said = f"{len(self.rows):,} rows // {samples} = {each:,} whole batches an epoch ({over} rows over)"
            return f"{steps:,} = {said}, {chosen.epochs:g} epochs"
        return f"{steps:,} whole batches of at most {chosen.batch_tokens:,} ids, {chosen.epochs:g} epochs"

    def _sample(self) -> list[int]:
        """Steps to look at, from the first to the last."""
        count = min(LOOKED_AT, self.schedule.steps)
        return [int(step) for step in np.linspace(0, self.schedule.steps - 1, count)]

    def _step(self) -> str:
        seen = [self.schedule.batch(step) for step in self._sample()]
        samples, ids, learned = (
            np.mean([measure(batch) for batch in seen])
            for measure in (len, lambda b: self.rows.lengths[b].sum(), lambda b: self.learned[b].sum())
        )
        return f"{samples:,.0f} samples, about {ids:,.0f} ids, {learned:,.0f} of them learned"

    def _micro_batches(self) -> str:
        steps = self._sample()
        micro = [len(self.schedule.micro_batches(step, 0, self.world_size)) for step in steps]
        ids = sum(int(self.rows.lengths[self.schedule.batch(step)].sum()) for step in steps)
        full = ids / (sum(micro) * self.world_size * self.settings.micro_tokens)
        how = "packs" if self.settings.packing else "padded groups"
        span = f"{min(micro)}" if min(micro) == max(micro) else f"{min(micro)} to {max(micro)}"
        room = f"at most {self.settings.micro_tokens:,} ids"
        return f"{self.world_size}, each with {span} {how} of {room} a step, {full:.0%} full"

    def _memory(self) -> str:
        parts = estimate.memory(self.shape, self.settings, self.world_size)
        host = parts.pop("host", 0.0)
        said = ", ".join(f"{what} {size / GIGA:.1f}" for what, size in parts.items() if size)
        beside = f"; {host / GIGA:.1f} GB on the host" if host else ""
        return f"about {sum(parts.values()) / GIGA:.1f} GB a process ({said}){beside}"

    def _time(self) -> str:
        steps = self._sample()
        total = sum(self._operations(self.schedule.batch(step)) for step in steps) * self.schedule.steps / len(steps)
        left = estimate.hours(total, self.world_size, estimate.devices(self.settings))
        said = ", ".join(f"{time:,.2g} h on {name}" for name, time in left.items())
        return (
            f"{total / PETA:,.1f} Peta-operations: {said}, where {estimate.REACHED:.0%} of the matrix rate is reached"
        )

    def _operations(self, batch: NDArray[np.int64]) -> float:
        learned = int(self.learned[batch].sum())
        return estimate.operations(self.shape, self.settings, self.rows.lengths[batch], learned)


def _spread(values: NDArray[np.int64]) -> str:
    least, *middle, most = (f"{value:,.0f}" for value in np.quantile(values, QUANTILES))
    return f"{least} | {' · '.join(middle)} | {most}, mean {values.mean():,.1f}"


def _counted(notes: tuple[DroppedRow, ...] | list[DroppedRow]) -> str:
    counts = Counter(note.reason for note in notes)
    first = {note.reason: note.id for note in reversed(notes)}
    return ", ".join(f"{count:,} {note} (first: {first[note]})" for note, count in counts.most_common())
