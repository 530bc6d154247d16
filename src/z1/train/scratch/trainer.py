"""How does a model learn from rows, and go on after a kill as if nothing had happened?

The loop is written by hand because two things are asked of it that transformers' Trainer and TRL do not give together:
Muon beside AdamW, and a resume that ends with the same bits on one kind of processor. Every batch is a function of
(seed, step); a checkpoint holds the weights, both optimizers and the step, and appears whole or not at all. Loss is
taken on responses alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen2ForCausalLM

from z1.errors import Fault
from z1.recipe import TrainSettings
from z1.runs import atomic_file
from z1.train.encode import EncodedRows, batches
from z1.train.preemption import STATUS, asked_to_stop
from z1.train.scratch.muon import Muon

CHECKPOINT = "checkpoint.pt"

REHEARSED = 8
"""Batches whose gradients are taken to say how long training will take."""

OPTIMIZERS = 1.25
"""A whole step takes so many times as long as its gradients (measured on the tiny model)."""

Batch = NDArray[np.int64]
"""Row numbers."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands after a step; `loss` is the mean of the steps since the last report, `seconds` this
    process's.
    """

    step: int
    steps: int
    loss: float
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class EpochSchedule:
    """Which rows each step sees: whole epochs one after the other, the last one perhaps in part."""

    rows: EncodedRows
    settings: TrainSettings
    seed: int

    def epoch(self, number: int) -> list[Batch]:
        """Row numbers of each batch of epoch `number`."""
        return batches(self.rows.lengths, self.settings.batch_tokens, self.seed, number)

    @property
    def steps(self) -> int:
        """Steps in all."""
        if self.settings.train_tokens is not None:
            return self._until(self.settings.train_tokens)
        epochs = self.settings.epochs or 1.0
        whole = int(epochs)
        full = sum(len(self.epoch(number)) for number in range(whole))
        return max(1, full + int(len(self.epoch(whole)) * (epochs - whole)))

    def _until(self, ids: int) -> int:
        """Steps until so many ids were seen."""
        steps, epoch = 0, 0
        while True:
            for batch in self.epoch(epoch):
                ids -= int(self.rows.lengths[batch].sum())
                steps += 1
                if ids <= 0:
                    return steps
            epoch += 1


class Trainer:
    """One model, its two optimizers and the step they stand at."""

    def __init__(self, model: Qwen2ForCausalLM, rows: EncodedRows, settings: TrainSettings, seed: int) -> None:
        self.model, self.settings = model, settings
        self.schedule = EpochSchedule(rows, settings, seed)
        named = dict(model.named_parameters())
        matrices = [name for name, p in named.items() if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
        self._others = [p for name, p in named.items() if name not in matrices]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon([named[name] for name in matrices], settings.muon_lr),
            torch.optim.AdamW(self._others, lr=settings.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self._peaks = (settings.muon_lr, settings.adamw_lr)
        self.step = 0
        self.steps = self.schedule.steps
        self.core_seconds = 0.0
        """Processor time of all steps so far, those before a kill included as far as they were saved."""

    def run(self, folder: Path, report: Callable[[Progress], None], every: int = 10) -> None:
        """Train to the end, from the checkpoint in `folder` if there is one; tells `report` each `every` steps.

        On SIGTERM it saves and ends with status 143.
        """
        with asked_to_stop() as asked:
            self._run(folder, report, every, asked)

    def _run(self, folder: Path, report: Callable[[Progress], None], every: int, asked: Callable[[], bool]) -> None:
        self._restore(folder / CHECKPOINT)
        torch.set_num_threads(self.settings.threads)
        self.model.train()
        began = saved = time.monotonic()
        losses: list[float] = []
        tokens = 0
        for batch in self._batches_left():
            before = time.process_time()
            losses.append(self._update(batch))
            self.core_seconds += time.process_time() - before
            tokens += int(self.schedule.rows.lengths[batch].sum())
            self.step += 1
            if self.step % every == 0 or self.step == self.steps:
                report(Progress(self.step, self.steps, sum(losses) / len(losses), tokens, time.monotonic() - began))
                losses.clear()
            if time.monotonic() - saved > self.settings.checkpoint_seconds or asked():
                self._save(folder / CHECKPOINT)
                saved = time.monotonic()
            if asked():
                raise SystemExit(STATUS)
        if not all(bool(parameter.isfinite().all()) for parameter in self.model.parameters()):
            raise Fault("the last steps made weights that are no numbers; lower train.matrix_rate or train.other_rate")
        self._save(folder / CHECKPOINT)

    def estimate_seconds(self, folder: Path) -> tuple[float, float]:
        """Processor seconds that the steps after the checkpoint in `folder`, and all steps, are expected to take, by a
        rehearsal: the gradients of a few batches, thrown away.
        """
        self._restore(folder / CHECKPOINT)
        torch.set_num_threads(self.settings.threads)
        rehearsed = self.schedule.epoch(0)[:REHEARSED]
        began = time.process_time()
        for batch in rehearsed:
            response_loss(self.model, *padded(self.schedule.rows, batch)).backward()
            self.model.zero_grad()
        step = (time.process_time() - began) / len(rehearsed) * OPTIMIZERS
        return step * (self.steps - self.step), step * self.steps

    def _batches_left(self) -> Iterator[Batch]:
        passed, epoch = 0, 0
        while passed < self.steps:
            order = self.schedule.epoch(epoch)
            yield from order[max(0, self.step - passed) : self.steps - passed]
            passed, epoch = passed + len(order), epoch + 1

    def _update(self, batch: Batch) -> float:
        share = self._rate_share()
        for optimizer, peak in zip(self.optimizers, self._peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.zero_grad()
        ids, learned = padded(self.schedule.rows, batch)
        loss = response_loss(self.model, ids, learned)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        value = loss.item()
        if not np.isfinite(value):
            raise Fault(f"the loss is {value} at step {self.step}; lower train.matrix_rate or train.other_rate")
        return value

    def _rate_share(self) -> float:
        """Share of the peak rate at this step: up over the warm-up, level, down to zero over the last `decay_share`."""
        rising = (self.step + 1) / max(1, self.settings.warmup_steps)
        falling = (self.steps - self.step) / (self.steps * self.settings.decay_share)
        return min(1.0, rising, falling)

    def _save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "core_seconds": self.core_seconds,
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        packed = BytesIO()  # torch's own writer hides a full disk behind a RuntimeError
        torch.save(state, packed)
        with atomic_file(path) as temporary:
            temporary.write_bytes(packed.getbuffer())

    def _restore(self, path: Path) -> None:
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.step, self.core_seconds = state["step"], state["core_seconds"]
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def padded(rows: EncodedRows, batch: Batch) -> tuple[Tensor, Tensor]:
    """The ids and the learned mask [B, T] of the rows in `batch`; padding stands at the end and is not learned."""
    longest = int(rows.lengths[batch].max())
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    learned = torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, row in enumerate(batch):
        first, last = int(rows.starts[row]), int(rows.starts[row + 1])
        ids[i, : last - first] = torch.from_numpy(rows.token_ids[first:last].astype(np.int64))
        learned[i, : last - first] = torch.from_numpy(rows.loss_mask[first:last])
    return ids, learned


def response_loss(model: Qwen2ForCausalLM, ids: Tensor, learned: Tensor) -> Tensor:
    """Mean cross-entropy over the learned ids of a batch [B, T].

    No attention mask is needed: padding stands at the end, and no id attends to what comes after it. Logits are made
    for the learned positions alone.
    """
    hidden = model.model(ids).last_hidden_state[:, :-1]
    wanted = learned[:, 1:]
    return F.cross_entropy(model.lm_head(hidden[wanted]), ids[:, 1:][wanted])
