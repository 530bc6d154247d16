"""Pre-flight report of a fine-tuning run, and checks that refuse a run that would go wrong.

Counts, on the encoded rows and before any weight is loaded, everything that decides the result: dropped rows, learned
tokens, rows without an end token, and how samples become steps and micro-batches. A run that would learn nothing, or
differs from its recipe, is refused with the reason. Source of the faults it checks: the released script of the paper
truncates every sample to 512 tokens and so most of their ends, and trains with twice the batch size that the paper
names (https://github.com/efficientscaling/Z1, train/train.py, train/script/train_qwen.sh).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.train.encode import KEPT, NO_THOUGHT, TEMPLATE_TEXT, DroppedRow, EncodedRows
from z1.train.packing import PackedSchedule, RowNumbers
from z1.train.sft import estimate
from z1.train.sft.estimate import ModelShape
from z1.train.token_cache import EncodedDataset

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

SAMPLED_STEPS = 64
"""Steps, spread over the training, whose micro-batches are counted."""

GIGA, PETA = 1e9, 1e15


@dataclass(frozen=True)
class Preflight:
    """The encoded rows, the schedule of their batches, the model's shape, and the number of processes."""

    encoded: EncodedDataset
    held_out: EncodedRows | None
    schedule: PackedSchedule
    end_token_id: int
    """The token that ends a row."""
    shape: ModelShape
    world_size: int = 1

    @property
    def rows(self) -> EncodedRows:
        """The rows to train on."""
        return self.encoded.rows

    @cached_property
    def learned(self) -> NDArray[np.int64]:
        """Learned tokens of each row; cached, because it reads the whole dataset."""
        return self.rows.learned_counts

    @property
    def settings(self) -> FinetuneSettings:
        """The recipe's `[finetune]`."""
        return self.schedule.settings

    def rows_without_end(self) -> int:
        """Rows whose end token is not learned: they teach the model to continue."""
        last = self.rows.starts[1:] - 1
        return int((~((self.rows.token_ids[last] == self.end_token_id) & self.rows.loss_mask[last])).sum())

    def rows_with_early_end(self) -> int:
        """Rows that learn an end token before their end, because their text contains it."""
        ends = np.add.reduceat(
            (self.rows.token_ids == self.end_token_id) & self.rows.loss_mask, self.rows.starts[:-1], dtype=np.int64
        )
        return int((ends > 1).sum())

    def check(self) -> None:
        """Raise UserError if this would train on nothing, on less than intended, or for other steps."""
        if empty := int((self.learned == 0).sum()):
            row = int(np.argmin(self.learned))
            raise UserError("rows without learned tokens", f"{empty} (first: number {row})", "correct the dataset")
        lost = [note for note in self.encoded.notes if not note.reason.startswith((NO_THOUGHT, TEMPLATE_TEXT))]
        count = len(self.rows) + sum(not note.reason.startswith(KEPT) for note in lost)
        self._check_template_text()
        if len(lost) > self.settings.max_dropped * count:
            got = f"{len(lost):,} of {count:,} rows dropped or truncated ({_count_reasons(lost)})"
            do = f"raise finetune.max_length above {self.settings.max_length}, or finetune.max_dropped if intended"
            raise UserError("training rows", got, do)
        if self.settings.steps not in (None, self.schedule.steps):
            got = f"{self.schedule.steps:,} from {len(self.rows):,} rows, not the {self.settings.steps:,} of the recipe"
            raise UserError("steps", got, "correct finetune.steps, or the batch and the epochs")

    def template_text(self) -> list[DroppedRow]:
        """Notes on rows whose text holds think tags or fragments of a chat template."""
        return [note for note in self.encoded.notes if note.reason.startswith(TEMPLATE_TEXT)]

    def _check_template_text(self) -> None:
        found = self.template_text()
        if len(found) > self.settings.max_template_text * len(self.rows):
            got = f"{len(found):,} of {len(self.rows):,} rows, the first is {found[0].id} with {found[0].reason}"
            do = "remove them from the dataset, or raise finetune.max_template_text if the model is to learn them"
            raise UserError("think tags or template text in what is learned", got, do)

    def summary(self) -> Iterator[tuple[str, str]]:
        """The report: names and figures."""
        yield "rows", self._counts()
        if notes := self.encoded.notes:
            yield "notes", f"{_count_reasons(notes)}; all are listed in notes.jsonl"
        yield "learned", f"{_quantiles(self.learned)} tokens a row; {self._learned_share():.1%} of all tokens"
        yield "length", f"{_quantiles(self.rows.lengths)} tokens a row"
        lost, early = self.rows_without_end(), self.rows_with_early_end()
        yield "ends", f"{lost:,} rows have no end token, {early:,} contain another one in their text"
        yield "steps", self._steps()
        yield "a step", self._step()
        yield "processes", self._micro_batches()
        yield "memory", self._memory()
        yield "time", self._time()

    def _counts(self) -> str:
        held_out = f", {len(self.held_out):,} held out" if self.held_out is not None else ""
        return f"{len(self.rows):,} to train on, {len(self.rows.token_ids):,} tokens{held_out}"

    def _learned_share(self) -> float:
        return float(self.learned.sum() / len(self.rows.token_ids))

    def _steps(self) -> str:
        chosen, steps = self.settings, self.schedule.steps
        if samples := chosen.batch_samples:
            each, over = divmod(len(self.rows), samples)
            formula = f"{len(self.rows):,} rows // {samples} = {each:,} whole batches an epoch ({over} rows left out)"
            return f"{steps:,} = {formula}, {self.schedule.duration}"
        return f"{steps:,} whole batches of at most {chosen.batch_tokens:,} tokens, {self.schedule.duration}"

    def _sample(self) -> list[int]:
        """A sample of steps, from the first to the last."""
        count = min(SAMPLED_STEPS, self.schedule.steps)
        return [int(step) for step in np.linspace(0, self.schedule.steps - 1, count)]

    def _step(self) -> str:
        batches = [self.schedule.batch(step) for step in self._sample()]
        samples, tokens, learned = (
            np.mean([measure(batch) for batch in batches])
            for measure in (len, lambda b: self.rows.lengths[b].sum(), lambda b: self.learned[b].sum())
        )
        return f"{samples:,.0f} samples, about {tokens:,.0f} tokens, {learned:,.0f} of them learned"

    def _micro_batches(self) -> str:
        steps = self._sample()
        counts = [len(self.schedule.micro_batches(step, 0, self.world_size)) for step in steps]
        tokens = sum(int(self.rows.lengths[self.schedule.batch(step)].sum()) for step in steps)
        full = tokens / (sum(counts) * self.world_size * self.settings.micro_tokens)
        kind = "packs" if self.settings.packing else "padded groups"
        span = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        limit = f"at most {self.settings.micro_tokens:,} tokens"
        return f"{self.world_size}, each with {span} {kind} of {limit} a step, {full:.0%} full"

    def _memory(self) -> str:
        parts = estimate.memory(self.shape, self.settings, self.world_size)
        host = parts.pop("host", 0.0)
        parts["libraries"] = 0.0 if torch.cuda.is_available() else estimate.LIBRARIES
        listed = ", ".join(f"{name} {size / GIGA:.1f}" for name, size in parts.items() if size)
        on_host = f"; {host / GIGA:.1f} GB on the host" if host else ""
        return f"about {sum(parts.values()) / GIGA:.1f} GB a process ({listed}){on_host}"

    def _time(self) -> str:
        steps = self._sample()
        total = sum(self._flops(self.schedule.batch(step)) for step in steps) * self.schedule.steps / len(steps)
        hours = estimate.hours(total, self.world_size, estimate.device_rates(self.settings))
        listed = ", ".join(f"{time:,.2g} h on {name}" for name, time in hours.items())
        return f"{total / PETA:,.1f} PFLOP: {listed}, at {estimate.UTILIZATION:.0%} of the matrix rate"

    def _flops(self, batch: RowNumbers) -> float:
        learned = int(self.learned[batch].sum())
        return estimate.flops(self.shape, self.settings, self.rows.lengths[batch], learned)


def _quantiles(values: NDArray[np.int64]) -> str:
    lowest, *middle, highest = (f"{value:,.0f}" for value in np.quantile(values, QUANTILES))
    return f"{lowest} | {' · '.join(middle)} | {highest}, mean {values.mean():,.1f}"


def _count_reasons(notes: Sequence[DroppedRow]) -> str:
    """The number of each kind of note, with the first of its kind."""
    counts = Counter(note.reason.partition(":")[0] for note in notes)
    first = {note.reason.partition(":")[0]: note.id for note in reversed(notes)}
    return ", ".join(f"{count:,} {reason} (first: {first[reason]})" for reason, count in counts.most_common())
