"""How does a model that already speaks learn to think without a fence?

All of its weights (or LoRA's) learn by AdamW on the learned ids of whole global batches. The loop is written by hand
because a step of transformers' Trainer, and of TRL's with it, is a fixed number of micro-batches, and here it is a
fixed number of samples in as many packs as they need: otherwise packing would change what "a batch of 256" means. What
a step sees is a function of (seed, step), its random state of (seed, step, process), so a training that was killed goes
on to the same bits on the same kind of processor. Model, sharding, attention kernels and optimizer are the
libraries'.

Source: arXiv 2504.00810, section 3.1, and train/script/train_qwen.sh of its code. Departure: the first step of the
warm-up has a rate above 0; transformers' schedule wastes it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers.utils import logging

from z1.errors import Fault, UserError
from z1.recipe import FinetuneSettings, Recipe
from z1.train import checkpoint
from z1.train.distributed import DistributedContext, joined, shard
from z1.train.encode import EncodedRows
from z1.train.packing import PackedSchedule, groups, pack, packs, padded
from z1.train.preemption import STATUS, asked_to_stop
from z1.train.scratch.trainer import Progress
from z1.train.sft.export import export
from z1.train.sft.load_base import model_of
from z1.train.sft.loss import LossModel, TrainingBatch, check
from z1.train.training_log import curves

MODEL = "model"

Batch = NDArray[np.int64]
"""Row numbers."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What is learned, and by whom: the rows and those held out of them, the base as folder or hub id, and what the
    data say about themselves.
    """

    rows: EncodedRows
    held_out: EncodedRows | None
    base: str
    data_info: Mapping[str, object]


def finetune(recipe: Recipe, corpus: TrainingSet, folder: Path, report: Callable[[Progress], None]) -> Path:
    """Train the base of `corpus` on its rows; returns the model folder, `folder`/model.

    Called by every process that torchrun started; the first one reports and writes. May be killed at any time: started
    again it ends with the same weights. On SIGTERM it saves and ends with status 143.
    """
    settings = recipe.finetune
    if settings is None:
        raise UserError(f"recipe {recipe.name}", "no [finetune]", "add it")
    torch.set_num_threads(settings.threads)
    logging.disable_progress_bar()
    half = settings.precision == "bf16"
    with joined(alone_too=half or settings.offload) as team:
        learner = LossModel(model_of(corpus.base, settings, recipe.seed))
        check(learner, corpus.base, packing=settings.packing)
        shard(learner, team, half=half, offload=settings.offload)
        tuning = FineTuner(learner, corpus, settings, recipe.seed, team)
        facts = tuning.run(folder, report if team.is_main else _nobody)
        export(learner, team, recipe, {"base": corpus.base, "data": dict(corpus.data_info), **facts}, folder / MODEL)
    return folder / MODEL


def _nobody(_progress: Progress) -> None:
    """Only the first process reports."""


def rate_share(step: int, steps: int, settings: FinetuneSettings) -> float:
    """Share of the peak rate at a step: up in a straight line over the warm-up, then by the schedule towards zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    gone = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return {"cosine": (1 + math.cos(math.pi * gone)) / 2, "linear": 1 - gone, "constant": 1.0}[settings.schedule]


class FineTuner:
    """One learner, its optimizer and the step they stand at, in one of the processes of a team."""

    def __init__(
        self, learner: LossModel, corpus: TrainingSet, settings: FinetuneSettings, seed: int, team: DistributedContext
    ) -> None:
        self.loss_model, self.training_set, self.settings, self.seed, self.context = (
            learner,
            corpus,
            settings,
            seed,
            team,
        )
        self._sizes, self._supervised = (
            corpus.rows.lengths,
            corpus.rows.learned_counts,
        )  # both are counted when asked for
        self.schedule = PackedSchedule(self._sizes, settings, seed)
        self._learning = checkpoint.learning(learner)
        matrices, others = ([p for _, p in self._learning if (p.ndim > 1) == wide] for wide in (True, False))
        decays = [(matrices, settings.weight_decay), (others, 0.0)]
        groups = [{"params": parameters, "weight_decay": decay} for parameters, decay in decays if parameters]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)
        self.facts: dict[str, Any] = {"step": 0, "steps": self.schedule.steps, "tokens": 0, "core_seconds": 0.0}
        """What a checkpoint keeps beside the tensors: counts over all lives, and the last losses."""

    def run(self, folder: Path, report: Callable[[Progress], None]) -> dict[str, Any]:
        """Train to the end, from the checkpoint in `folder` if there is one; returns the facts.

        `report` is told of every step.
        """
        self.facts |= checkpoint.restore(folder, self._learning, self.optimizer, self.context)
        before, begun = self.facts["tokens"], time.monotonic()
        saved = begun
        with asked_to_stop() as asked, curves(folder, self.facts["step"], writes=self.context.is_main) as draw:
            while self.facts["step"] < self.schedule.steps:
                draw(self.facts["step"], self._held_out_now())
                draw(self.facts["step"] + 1, self.train_step())
                late = self.context.is_main and time.monotonic() - saved > self.settings.checkpoint_seconds
                stop, save = self.context.all_reduce(asked(), late)
                if stop or save:
                    self._save(folder)
                    saved = time.monotonic()
                if stop:
                    raise SystemExit(STATUS)
                report(self._progress(before, begun))
            draw(self.facts["step"], self._held_out_now())
            self._save(folder)
        return self.facts

    def _save(self, folder: Path) -> None:
        checkpoint.save(folder, self.facts, self._learning, self.optimizer, self.context)

    def _progress(self, before: int, begun: float) -> Progress:
        facts = self.facts
        seconds = time.monotonic() - begun
        return Progress(facts["step"], facts["steps"], facts["loss"], facts["tokens"] - before, seconds)

    def train_step(self) -> dict[str, float]:
        """One update from one global batch, and what there is to draw of it."""
        step = self.facts["step"]
        batch = self.schedule.batch(step)
        taught, seen = int(self._supervised[batch].sum()), int(self._sizes[batch].sum())
        rate = self.settings.learning_rate * rate_share(step, self.schedule.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        began, began_core = time.monotonic(), time.process_time()
        lost = self._gradient(step, taught)
        norm = _number(torch.nn.utils.clip_grad_norm_([p for _, p in self._learning], self.settings.max_grad_norm))
        if not math.isfinite(norm):
            raise Fault(f"the gradient is {norm} at step {step}; lower finetune.rate")
        self.optimizer.step()
        lost, cores = self.context.all_reduce(lost, time.process_time() - began_core)
        seconds, facts = time.monotonic() - began, self.facts
        facts |= {"step": step + 1, "tokens": facts["tokens"] + seen, "loss": lost / taught}
        facts["core_seconds"] += cores
        speed = {"tokens_per_second": seen / seconds, "learned_per_second": taught / seconds}
        return {"loss": facts["loss"], "rate": rate, "gradient_norm": norm, **speed}

    def _gradient(self, step: int, taught: int) -> float:
        """The gradient of the mean over the `taught` ids of a global batch; the sum of this process's losses."""
        _draw_from(self.seed, step, self.context.rank)
        self.loss_model.train()
        self.optimizer.zero_grad()
        lost = 0.0
        for numbers in self.schedule.micro_batches(step, self.context.rank, self.context.world_size):
            loss = self.loss_model(self._lesson(self.training_set.rows, numbers))
            (loss * (self.context.world_size / taught)).backward()  # FSDP averages over the processes
            lost += loss.item()
        return lost

    def _held_out_now(self) -> dict[str, float]:
        """The loss on the rows held out, where it is time to look."""
        rows, (step, steps) = self.training_set.held_out, (self.facts["step"], self.facts["steps"])
        if rows is None or (step % self.settings.held_out_steps and step < steps):
            return {}
        divide = packs if self.settings.packing else groups
        parts = divide(rows.lengths, self.settings.micro_tokens, self.context.world_size)[
            self.context.rank :: self.context.world_size
        ]
        self.loss_model.eval()
        with torch.no_grad():
            lost = sum(self.loss_model(self._lesson(rows, part)).item() for part in parts)
        (lost,) = self.context.all_reduce(lost)
        self.facts["held_out"] = lost / int(rows.learned_counts.sum())
        self.facts.setdefault("held_out_before", self.facts["held_out"])
        return {"held_out": self.facts["held_out"]}

    def _lesson(self, rows: EncodedRows, numbers: Batch) -> TrainingBatch:
        """The rows `numbers` as tensors on the device."""
        device = self.context.device
        if not self.settings.packing:
            ids, learned = (torch.from_numpy(each).to(device) for each in padded(rows, numbers))
            return TrainingBatch(ids, learned)
        made = pack(rows, numbers)
        parts = (made.token_ids[None], made.loss_mask[None], made.positions[None], made.cu_seqlens)
        ids, learned, positions, bounds = (torch.from_numpy(each).to(device) for each in parts)
        return TrainingBatch(ids, learned, positions, bounds, made.max_seqlen)


def _number(norm: Tensor) -> float:
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def _draw_from(seed: int, step: int, rank: int) -> None:
    """Random numbers (LoRA's or a model's own dropout) are a function of seed, step and process."""
    torch.manual_seed(int.from_bytes(sha256(f"{seed}:{step}:{rank}".encode()).digest()[:8], "big") >> 1)
