"""Fine-tuning loop: AdamW on the learned tokens of whole global batches, on one process or many.

The loop is our own because a step of transformers' Trainer, and of TRL's with it, is a fixed number of micro-batches,
and here it is a fixed number of samples in as many packs as they need: otherwise packing would change the meaning of "a
batch of 256". The rows of a step are a function of (seed, step), its random state of (seed, step, process), so a killed
training resumes to the same bits on the same kind of processor. Model, sharding, attention kernels and optimizer come
from the libraries.

Source: arXiv 2504.00810, section 3.1, and train/script/train_qwen.sh of its code. Departure: the first step of the
warm-up has a learning rate above 0; in transformers' schedule it has none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers.utils import logging

from z1.errors import Fault
from z1.recipe import FinetuneSettings, Recipe, required_table
from z1.train import checkpoint
from z1.train.distributed import DistributedContext, process_group, shard
from z1.train.encode import EncodedRows
from z1.train.packing import PackedSchedule, RowNumbers, make_groups, make_packs, pack, pad
from z1.train.preemption import STATUS, catch_sigterm
from z1.train.progress import Progress
from z1.train.sft.export import export
from z1.train.sft.load_base import load_base
from z1.train.sft.loss import LossModel, TrainingBatch, check_model
from z1.train.training_log import open_log

MODEL = "model"

ComputeLoss = Callable[[TrainingBatch], Tensor]
"""The loss of a batch, as `LossModel` computes it."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows to train on and those held out, the base as folder or hub id, and facts about the data."""

    rows: EncodedRows
    held_out: EncodedRows | None
    base: str
    data_info: Mapping[str, object]


def finetune(recipe: Recipe, training_set: TrainingSet, folder: Path, report: Callable[[Progress], None]) -> Path:
    """Train the base of `training_set` on its rows; returns the model folder, `folder`/model.

    Every process that torchrun started calls it; the main one reports and writes. If it is killed and started again,
    training ends with the same weights. On SIGTERM it saves and exits with status 143.
    """
    settings = required_table(recipe.finetune, "finetune")
    torch.set_num_threads(settings.threads)
    logging.disable_progress_bar()
    bf16 = settings.precision == "bf16"
    with process_group(single=bf16 or settings.offload) as context:
        loss_model = LossModel(load_base(training_set.base, settings, recipe.seed))
        check_model(loss_model, training_set.base, packing=settings.packing)
        recomputes = settings.gradient_checkpointing or settings.micro_tokens > loss_model.at_once
        compute = shard(loss_model, context, bf16=bf16, offload=settings.offload, recomputes=recomputes)
        tuner = FineTuner(loss_model, training_set, settings, recipe.seed, context, compute)
        facts = tuner.run(folder, report if context.is_main else _no_report)
        info = {"base": training_set.base, "data": dict(training_set.data_info), **facts}
        export(loss_model, context, recipe, info, folder / MODEL)
    return folder / MODEL


def _no_report(_progress: Progress) -> None:
    """Only the main process reports."""


def lr_factor(step: int, steps: int, settings: FinetuneSettings) -> float:
    """Learning rate over its peak at a step: linear warm-up, then the recipe's schedule towards zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[settings.schedule]


class FineTuner:
    """One model, its optimizer and the current step, in one process of a training run.

    `compute` is what `shard` returned for the model; None for a model that was not sharded.
    """

    def __init__(
        self,
        loss_model: LossModel,
        training_set: TrainingSet,
        settings: FinetuneSettings,
        seed: int,
        context: DistributedContext,
        compute: ComputeLoss | None = None,
    ) -> None:
        self.loss_model, self.training_set, self.context = loss_model, training_set, context
        self._compute = compute or loss_model
        self.settings, self.seed = settings, seed
        self._lengths, self._learned = training_set.rows.lengths, training_set.rows.learned_counts  # computed once
        self.schedule = PackedSchedule(self._lengths, settings, seed)
        self._trainable = checkpoint.trainable(loss_model)
        matrices, others = ([p for _, p in self._trainable if (p.ndim > 1) == wide] for wide in (True, False))
        decays = [(matrices, settings.weight_decay), (others, 0.0)]
        groups = [{"params": parameters, "weight_decay": decay} for parameters, decay in decays if parameters]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)
        self.facts: dict[str, Any] = {"step": 0, "steps": self.schedule.steps, "tokens": 0, "core_seconds": 0.0}
        """Saved in checkpoints with the tensors: counts over all starts, and the last losses."""

    def run(self, folder: Path, report: Callable[[Progress], None]) -> dict[str, Any]:
        """Train to the end, from the checkpoint in `folder` if there is one; returns the facts.

        Calls `report` after every step.
        """
        self.facts |= checkpoint.restore(folder, self._trainable, self.optimizer, self.context)
        before, start = self.facts["tokens"], time.monotonic()
        saved = start
        with (
            catch_sigterm() as should_stop,
            open_log(folder, self.facts["step"], is_main=self.context.is_main) as write,
        ):
            while self.facts["step"] < self.schedule.steps:
                write(self.facts["step"], self._held_out_metrics())
                write(self.facts["step"] + 1, self.train_step())
                is_due = self.context.is_main and time.monotonic() - saved > self.settings.checkpoint_seconds
                stop, save = self.context.all_reduce(should_stop(), is_due)
                if stop or save:
                    self._save(folder)
                    saved = time.monotonic()
                if stop:
                    raise SystemExit(STATUS)
                report(self._progress(before, start))
            write(self.facts["step"], self._held_out_metrics())
            self._save(folder)
        return self.facts

    def _save(self, folder: Path) -> None:
        checkpoint.save(folder, self.facts, self._trainable, self.optimizer, self.context)

    def _progress(self, before: int, start: float) -> Progress:
        facts = self.facts
        seconds = time.monotonic() - start
        return Progress(facts["step"], facts["steps"], facts["loss"], facts["tokens"] - before, seconds)

    def train_step(self) -> dict[str, float]:
        """One update from one global batch; returns its metrics."""
        step = self.facts["step"]
        batch = self.schedule.batch(step)
        learned, tokens = int(self._learned[batch].sum()), int(self._lengths[batch].sum())
        learning_rate = self.settings.learning_rate * lr_factor(step, self.schedule.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        start, cpu_start = time.monotonic(), time.process_time()
        loss_sum = self._backward(step, learned)
        norm = _to_float(torch.nn.utils.clip_grad_norm_([p for _, p in self._trainable], self.settings.max_grad_norm))
        if not math.isfinite(norm):
            raise Fault(f"the gradient norm is {norm} at step {step}; lower finetune.learning_rate")
        self.optimizer.step()
        loss_sum, cpu_seconds = self.context.all_reduce(loss_sum, time.process_time() - cpu_start)
        seconds, facts = time.monotonic() - start, self.facts
        facts |= {"step": step + 1, "tokens": facts["tokens"] + tokens, "loss": loss_sum / learned}
        facts["core_seconds"] += cpu_seconds
        speed = {"tokens_per_second": tokens / seconds, "learned_per_second": learned / seconds}
        return {"loss": facts["loss"], "learning_rate": learning_rate, "gradient_norm": norm, **speed}

    def _backward(self, step: int, learned: int) -> float:
        """Compute the gradient of the mean loss over `learned` tokens; returns the sum of this process's losses."""
        rank, world_size = self.context.rank, self.context.world_size
        _seed_step(self.seed, step, rank)
        self.loss_model.train()
        self.optimizer.zero_grad()
        loss_sum = 0.0
        for numbers in self.schedule.micro_batches(step, rank, world_size):
            loss = self._compute(self._to_batch(self.training_set.rows, numbers))
            (loss * (world_size / learned)).backward()  # FSDP averages over the processes
            loss_sum += loss.item()
        return loss_sum

    def _held_out_metrics(self) -> dict[str, float]:
        """The held-out loss, at the steps at which it is due."""
        rows, (step, steps) = self.training_set.held_out, (self.facts["step"], self.facts["steps"])
        if rows is None or (step % self.settings.held_out_steps and step < steps):
            return {}
        divide = make_packs if self.settings.packing else make_groups
        rank, world_size = self.context.rank, self.context.world_size
        parts = divide(rows.lengths, self.settings.micro_tokens, world_size)[rank::world_size]
        self.loss_model.eval()
        with torch.no_grad():
            loss_sum = sum(self._compute(self._to_batch(rows, part)).item() for part in parts)
        (loss_sum,) = self.context.all_reduce(loss_sum)
        self.facts["held_out"] = loss_sum / int(rows.learned_counts.sum())
        self.facts.setdefault("held_out_before", self.facts["held_out"])
        return {"held_out": self.facts["held_out"]}

    def _to_batch(self, rows: EncodedRows, numbers: RowNumbers) -> TrainingBatch:
        """The rows `numbers` as tensors on the device."""
        device = self.context.device
        if not self.settings.packing:
            token_ids, loss_mask = (torch.from_numpy(each).to(device) for each in pad(rows, numbers))
            return TrainingBatch(token_ids, loss_mask)
        packed = pack(rows, numbers)
        arrays = (packed.token_ids[None], packed.loss_mask[None], packed.positions[None], packed.cu_seqlens)
        token_ids, loss_mask, positions, cu_seqlens = (torch.from_numpy(each).to(device) for each in arrays)
        return TrainingBatch(token_ids, loss_mask, positions, cu_seqlens, packed.max_seqlen)


def _to_float(norm: Tensor) -> float:
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Seed dropout (LoRA's or the model's own) as a function of seed, step and process."""
    torch.manual_seed(int.from_bytes(sha256(f"{seed}:{step}:{rank}".encode()).digest()[:8], "big") >> 1)
