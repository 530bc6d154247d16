"""Training loop of a small model: Muon and AdamW, loss on responses only, resumable to the same bits.

The loop is our own because transformers' Trainer and TRL do not offer these two together: Muon with AdamW, and a resume
that ends with the same bits on one kind of processor. Every batch is a function of (seed, step). A checkpoint holds the
weights, both optimizers and the step, and is written atomically.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen2ForCausalLM

from z1.errors import Fault, UserError
from z1.recipe import TrainSettings
from z1.runs import atomic_file
from z1.train.checkpoint import UNREADABLE
from z1.train.encode import EncodedRows
from z1.train.packing import RowNumbers, epoch_batches, pad
from z1.train.preemption import STATUS, catch_sigterm
from z1.train.progress import Progress
from z1.train.scratch.muon import Muon

CHECKPOINT = "checkpoint.pt"

TIMED_BATCHES = 8
"""Batches whose gradients are timed to estimate the duration of training."""

STEP_OVER_GRADIENT = 1.25
"""Time of a whole step over that of its gradients (measured on the tiny model)."""


@dataclass(frozen=True, slots=True)
class EpochSchedule:
    """The rows of every step: whole epochs one after another; the last one may be partial."""

    rows: EncodedRows
    settings: TrainSettings
    seed: int

    def epoch(self, number: int) -> list[RowNumbers]:
        """The rows of each batch of epoch `number`."""
        return epoch_batches(self.rows.lengths, self.settings.batch_tokens, self.seed, number)

    @property
    def steps(self) -> int:
        """Steps in all."""
        if self.settings.train_tokens is not None:
            return self._steps_for(self.settings.train_tokens)
        epochs = self.settings.epochs or 1.0
        whole = int(epochs)
        full = sum(len(self.epoch(number)) for number in range(whole))
        return max(1, full + int(len(self.epoch(whole)) * (epochs - whole)))

    def _steps_for(self, tokens: int) -> int:
        """Steps until `tokens` tokens have been trained on."""
        steps, epoch = 0, 0
        while True:
            for batch in self.epoch(epoch):
                tokens -= int(self.rows.lengths[batch].sum())
                steps += 1
                if tokens <= 0:
                    return steps
            epoch += 1


class Trainer:
    """One model, its two optimizers, and the current step."""

    def __init__(self, model: Qwen2ForCausalLM, rows: EncodedRows, settings: TrainSettings, seed: int) -> None:
        self.model, self.settings = model, settings
        self.schedule = EpochSchedule(rows, settings, seed)
        named = dict(model.named_parameters())
        matrices = [name for name, p in named.items() if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
        self._adamw_parameters = [p for name, p in named.items() if name not in matrices]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon([named[name] for name in matrices], settings.muon_lr),
            torch.optim.AdamW(self._adamw_parameters, lr=settings.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self._peak_lrs = (settings.muon_lr, settings.adamw_lr)
        self.step = 0
        self.steps = self.schedule.steps
        self.core_seconds = 0.0
        """CPU time of all steps so far, including saved steps before a kill."""

    def run(self, folder: Path, report: Callable[[Progress], None], every: int = 10) -> None:
        """Train to the end, from the checkpoint in `folder` if there is one; calls `report` each `every` steps.

        On SIGTERM it saves and exits with status 143.
        """
        with catch_sigterm() as should_stop:
            self._run(folder, report, every, should_stop)

    def _run(
        self, folder: Path, report: Callable[[Progress], None], every: int, should_stop: Callable[[], bool]
    ) -> None:
        self._restore(folder / CHECKPOINT)
        torch.set_num_threads(self.settings.threads)
        self.model.train()
        start = saved = time.monotonic()
        losses: list[float] = []
        tokens = 0
        for batch in self._remaining_batches():
            before = time.process_time()
            losses.append(self._update(batch))
            self.core_seconds += time.process_time() - before
            tokens += int(self.schedule.rows.lengths[batch].sum())
            self.step += 1
            if self.step % every == 0 or self.step == self.steps:
                report(Progress(self.step, self.steps, sum(losses) / len(losses), tokens, time.monotonic() - start))
                losses.clear()
            if time.monotonic() - saved > self.settings.checkpoint_seconds or should_stop():
                self._save(folder / CHECKPOINT)
                saved = time.monotonic()
            if should_stop():
                raise SystemExit(STATUS)
        if not all(bool(parameter.isfinite().all()) for parameter in self.model.parameters()):
            raise Fault("weights are not finite after the last steps; lower train.muon_lr or train.adamw_lr")
        self._save(folder / CHECKPOINT)

    def estimate_seconds(self, folder: Path) -> tuple[float, float]:
        """Expected CPU seconds of the steps after the checkpoint in `folder`, and of all steps.

        Times the gradients of a few batches and discards them.
        """
        self._restore(folder / CHECKPOINT)
        torch.set_num_threads(self.settings.threads)
        batches = self.schedule.epoch(0)[:TIMED_BATCHES]
        start = time.process_time()
        for batch in batches:
            self._loss(batch).backward()
            self.model.zero_grad()
        step = (time.process_time() - start) / len(batches) * STEP_OVER_GRADIENT
        return step * (self.steps - self.step), step * self.steps

    def _remaining_batches(self) -> Iterator[RowNumbers]:
        done, epoch = 0, 0
        while done < self.steps:
            order = self.schedule.epoch(epoch)
            yield from order[max(0, self.step - done) : self.steps - done]
            done, epoch = done + len(order), epoch + 1

    def _loss(self, batch: RowNumbers) -> Tensor:
        token_ids, loss_mask = (torch.from_numpy(each) for each in pad(self.schedule.rows, batch))
        return response_loss(self.model, token_ids, loss_mask)

    def _update(self, batch: RowNumbers) -> float:
        factor = self._lr_factor()
        for optimizer, peak in zip(self.optimizers, self._peak_lrs, strict=True):
            optimizer.param_groups[0]["lr"] = peak * factor
            optimizer.zero_grad()
        loss = self._loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._adamw_parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        value = loss.item()
        if not np.isfinite(value):
            raise Fault(f"the loss is {value} at step {self.step}; lower train.muon_lr or train.adamw_lr")
        return value

    def _lr_factor(self) -> float:
        """Learning rate over its peak at this step: linear warm-up, constant, linear decay over `decay_share`."""
        warmup = (self.step + 1) / max(1, self.settings.warmup_steps)
        decay = (self.steps - self.step) / (self.steps * self.settings.decay_share)
        return min(1.0, warmup, decay)

    def _save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "core_seconds": self.core_seconds,
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        buffer = BytesIO()  # torch's own writer reports a full disk as a RuntimeError
        torch.save(state, buffer)
        with atomic_file(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def _restore(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True)
            self.step, self.core_seconds = int(state["step"]), float(state["core_seconds"])
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except UNREADABLE as error:
            got = f"cut or of another kind ({type(error).__name__})"
            raise UserError(f"checkpoint {path}", got, "delete it; training starts from its first step") from None


def response_loss(model: Qwen2ForCausalLM, token_ids: Tensor, loss_mask: Tensor) -> Tensor:
    """Mean cross-entropy over the learned tokens of a batch [B, T].

    No attention mask is needed: padding is on the right, and no token attends to later ones. Logits are computed for
    learned positions only.
    """
    hidden = model.model(token_ids).last_hidden_state[:, :-1]
    targets = loss_mask[:, 1:]
    return F.cross_entropy(model.lm_head(hidden[targets]), token_ids[:, 1:][targets])
