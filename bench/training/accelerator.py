"""Training with the shape of a 7B model on one accelerator: throughput and memory.

Random weights in the shape of Qwen2.5-Coder-7B, with all layers or as many as fit by the estimate of `z1 train
--preflight`. Uses the loop of `z1 train`: packed, gradient checkpointing, sharded over this one device. On a CPU the
same code runs with a small shape. It has never run on an accelerator.

Utilization is counted in two ways. `mfu_6n` is 6 FLOPs per parameter and token, without the input embedding, over the
rate of the device's data sheet. `matmul_share` is the arithmetic of `flops.py` over the measured rate of a product.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from bench.memory import Peak, compared
from bench.thinking.models import SHAPES, Shape, make_model
from bench.thinking.roofline import Machine
from bench.training import workload
from bench.training.flops import flops
from bench.training.ours import settings
from z1.recipe import FinetuneSettings
from z1.train.distributed import process_group, shard
from z1.train.encode import EncodedRows
from z1.train.sft.attention import ROWS
from z1.train.sft.estimate import ACCELERATORS, ModelShape
from z1.train.sft.estimate import memory as estimate
from z1.train.sft.loss import LossModel
from z1.train.sft.trainer import FineTuner, TrainingSet

STEPS = 6

FITS = 0.93
"""Share of the device's memory that the estimate may fill."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one device trains: a shape, rows a batch, tokens a pack, and the divisor of the rows' lengths."""

    shape: Shape
    batch: int
    micro_tokens: int
    divisor: int

    @property
    def recipe(self) -> FinetuneSettings:
        """Full checkpointing in bfloat16."""
        return settings(self.batch, self.micro_tokens, precision="bf16", gradient_checkpointing=True)

    def said(self) -> int:
        """Bytes of training, by the estimate of the preflight; the parameters are counted on `meta`."""
        shape = self.shape
        weights = sum(weight.numel() for weight in make_model(shape, "meta", workload.CUT).parameters())
        sizes = (weights, shape.vocabulary * shape.hidden, weights, shape.hidden, shape.ffn, shape.layers)
        return int(sum(estimate(ModelShape(*sizes, shape.tied), self.recipe, 1).values()))

    def fitting(self, layers: int, free: float) -> Plan:
        """This plan with `layers` layers, or with 0 with as many as fit in `free` bytes."""
        plans = [replace(self, shape=replace(self.shape, layers=n)) for n in range(1, self.shape.layers + 1)]
        return plans[layers - 1] if layers else max((p for p in plans if p.said() <= free), key=Plan.said)


PLANS = {
    "cuda": Plan(SHAPES["qwen2.5-coder-7b"], 32, 16_384, 1),
    "cpu": Plan(Shape("bench-13m", 512, 4, 8, 2, 1408, 2048, tied=False, spread=0.05), 8, 1024, 8),
}


def train(device: str, layers: int = 0) -> dict[str, Any]:
    """Tokens per second, utilization and memory, over all steps but the first; `layers` 0: as many as fit."""
    cuda = device == "cuda"
    plan = PLANS[device].fitting(layers, FITS * torch.cuda.mem_get_info()[1] if cuda else float("inf"))
    rate = Machine(torch.device(device), torch.bfloat16).matrix_rate()
    rows = workload.rows(STEPS * plan.batch, plan.divisor, plan.shape.vocabulary)
    with Peak(device) as used:
        seconds, counts = _steps(plan, rows, device)
    shape, tokens = plan.shape, sum(counts[1:]) / sum(seconds[1:])
    per_second = tokens / float(rows.lengths.sum())
    matrices = sum(p.numel() for p in make_model(shape, "meta", 8).parameters()) - shape.vocabulary * shape.hidden
    name = torch.cuda.get_device_name() if cuda else "cpu"
    peak = next((value for part, value in ACCELERATORS.items() if part in name), rate)
    return {
        "device": name,
        "layers": shape.layers,
        "tokens_per_second": round(tokens),
        "learned_per_second": round(float(rows.learned_counts.sum()) * per_second),
        "mfu_6n": round(6 * matrices * tokens / peak, 4),
        "peak_tflops": round(peak / 1e12, 1),
        "matmul_share": round(flops(shape, rows) * per_second / rate, 4),
        "matmul_tflops": round(rate / 1e12, 3),
        "memory": compared({"train": plan.said()}, {"train": used.peak}),
        "seconds_per_step": [round(each, 3) for each in seconds],
    }


def _steps(plan: Plan, rows: EncodedRows, device: str) -> tuple[list[float], list[int]]:
    """Seconds and tokens of each training step."""
    model = make_model(plan.shape, device, workload.CUT, torch.bfloat16).train()
    model.set_attn_implementation(ROWS)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    seconds, tokens = [], [0]
    with process_group(single=True) as context:
        loss_model = LossModel(model)
        shard(loss_model, context, bf16=True, offload=False, recomputes=True)
        tuner = FineTuner(loss_model, TrainingSet(rows, None, "", {}), plan.recipe, 0, context)
        for _ in range(STEPS):
            start = time.perf_counter()
            tuner.train_step()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
            tokens.append(tuner.facts["tokens"])
    return seconds, [after - before for before, after in pairwise(tokens)]
