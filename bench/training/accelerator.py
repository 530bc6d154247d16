"""Training throughput of the 7B shape on one accelerator.

Random weights in the shape of Qwen2.5-Coder-7B, with all layers or as many as fit with float32 weights, gradients
and Adam's moments beside the bfloat16 copies. Uses the loop of `z1 train`: packed, gradient checkpointing, sharded
over this one device. Written without an accelerator; not run so far.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from bench.thinking.models import Shape, make_model
from bench.thinking.roofline import Machine
from bench.training import workload
from bench.training.flops import flops
from bench.training.ours import settings
from z1.train.distributed import process_group, shard
from z1.train.sft.attention import ROWS
from z1.train.sft.loss import LossModel
from z1.train.sft.trainer import FineTuner, TrainingSet

STEPS, BATCH, MICRO_TOKENS = 6, 32, 16_384

BYTES = 18
"""Bytes per parameter: weight, gradient and two moments in float32, and the bfloat16 copy."""

FREE = 16 * 2**30
"""Bytes left for activations and logits."""


def run(shape: Shape, device: str, layers: int) -> dict[str, Any]:
    """Tokens and learned tokens per second, and the share of the measured matrix rate, over all steps but the first."""
    shape = replace(shape, layers=layers or _fitting(shape, torch.cuda.get_device_properties(0).total_memory))
    model = make_model(shape, device, workload.CUT).train()
    rate = Machine(model).matrix_rate()
    model.set_attn_implementation(ROWS)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    rows = workload.rows(STEPS * BATCH, 1, shape.vocabulary)
    recipe = settings(BATCH, MICRO_TOKENS, precision="bf16", gradient_checkpointing=True)
    seconds = []
    with process_group(single=True) as context:
        loss_model = LossModel(model)
        shard(loss_model, context, bf16=True, offload=False)
        tuner = FineTuner(loss_model, TrainingSet(rows, None, "", {}), recipe, 0, context)
        for _ in range(STEPS):
            start = time.perf_counter()
            tuner.train_step()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    step = median(seconds[1:])
    return {
        "device": torch.cuda.get_device_name(0),
        "layers": shape.layers,
        "ids_per_second": round(float(rows.lengths.sum()) / STEPS / step),
        "learned_per_second": round(float(rows.learned_counts.sum()) / STEPS / step),
        "model_flops_utilisation": round(flops(shape, rows) / STEPS / step / rate, 4),
        "matrix_tflops": round(rate / 1e12, 1),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1),
        "seconds_per_step": [round(each, 3) for each in seconds],
    }


def _fitting(shape: Shape, memory: int) -> int:
    inner, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    layer = shape.hidden * (2 * inner + 2 * kv + 3 * shape.ffn)
    ends = 2 * shape.vocabulary * shape.hidden
    return max(1, min(shape.layers, int(((memory - FREE) / BYTES - ends) / layer)))
