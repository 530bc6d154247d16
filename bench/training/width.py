"""Fine-tuning by the recipe z1-7b at the 7B's width, through SIGTERM and SIGKILL.

Two layers of Qwen2.5-Coder-7B (hidden 3,584, 28 heads, 18,944 wide) with a vocabulary of 8,192 and random weights,
525M parameters, are trained ten steps on a CPU by the recipe z1-7b: packed, with gradient checkpointing, in float32
and with smaller batches. The first process gets SIGTERM in the fourth step, which is saved; the second gets SIGKILL
after the sixth, which is not saved; the third runs to the end. Needs 12 GB of memory, 20 GB of disk, and minutes of one
core. The last line is JSON.

    python -m bench.training.width FOLDER            FOLDER is created, and deleted at the end
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench.thinking.models import Shape, make_model
from bench.training import workload
from z1 import recipe as recipes
from z1.train.progress import Progress
from z1.train.sft.trainer import TrainingSet, finetune

ROOT = Path(__file__).parents[2]

RECIPE = "z1-7b"

SHAPE = Shape("seven-wide", 3584, 2, 28, 4, 18944, 8192, tied=False, spread=0.02)

STEPS, ROWS, DIVISOR = 10, 4, 16

PROCESSES = {"terminated": (3, signal.SIGTERM), "killed": (6, signal.SIGKILL), "finished": (0, None)}
"""The step after which each process gets its signal."""


def train(folder: Path, last_step: int, signal_number: signal.Signals | None) -> None:
    """Train to the end, or until a signal; prints one line of JSON per step."""

    def report(progress: Progress) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        line = {"step": progress.step, "loss": progress.loss, "cpu": used.ru_utime + used.ru_stime}
        print(json.dumps({**line, "peak_gb": used.ru_maxrss / 1e6, "tokens": progress.tokens}), flush=True)
        if signal_number is not None and progress.step == last_step:
            os.kill(os.getpid(), signal_number)

    recipe = recipes.load(RECIPE)
    if recipe.finetune is None:
        raise SystemExit(f"recipe {RECIPE} has no [finetune]")
    small = {"precision": "float32", "max_length": 512, "micro_tokens": 512, "batch_samples": ROWS, "epochs": 1.0}
    changed = recipe.finetune.model_copy(update={**small, "checkpoint_seconds": 10**6})
    rows = workload.rows(STEPS * ROWS, DIVISOR, SHAPE.vocabulary)
    training_set = TrainingSet(rows, None, str(folder / "base"), {"rows": len(rows), "tokens": "random"})
    finetune(recipe.model_copy(update={"finetune": changed}), training_set, folder / "run", report)


def save_base(folder: Path) -> None:
    """Save the random model, and a tokenizer with the same vocabulary size."""
    from bench.train import tokenizer

    make_model(SHAPE, "cpu", workload.CUT).save_pretrained(folder)
    tokenizer(SHAPE).save_pretrained(folder)


def run(folder: Path, process: str) -> tuple[int, list[dict[str, Any]]]:
    """Run another process of this script; returns its exit status and the lines that it printed."""
    command = [sys.executable, "-m", "bench.training.width", str(folder), "--process", process]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    """Save the base, train until each signal, train to the end."""
    parser = argparse.ArgumentParser(description="Fine-tuning by the recipe z1-7b at the 7B's width.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--process", choices=["base", *PROCESSES], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.process == "base":
        save_base(given.folder / "base")
        return
    if given.process:
        train(given.folder, *PROCESSES[given.process])
        return
    start = time.monotonic()
    given.folder = given.folder.absolute()
    given.folder.mkdir(parents=True)
    try:
        ends = [run(given.folder, process) for process in ("base", *PROCESSES)]
        size = sum(path.stat().st_size for path in (given.folder / "run" / "model").glob("*.safetensors"))
        checkpoints = [path.name for path in (given.folder / "run").glob("checkpoint-*")]
    finally:
        shutil.rmtree(given.folder, ignore_errors=True)
    every = [line for _, lines in ends for line in lines]
    repeated = [{line["loss"] for line in every if line["step"] == step} for step in (5, 6)]
    result = {
        "bench": "width",
        "parameters": 2 * (3584 * (2 * 3584 + 2 * 512 + 3 * 18944) + 3584 * 2 + 3584 + 2 * 512)
        + 3584
        + 2 * 8192 * 3584,
        "ended": [status for status, _ in ends],
        "steps": [line["step"] for line in every],
        "same_bits_again": all(len(losses) == 1 for losses in repeated),
        "losses": [round(line["loss"], 4) for line in every],
        "cpu_seconds": [round(line["cpu"], 1) for line in every],
        "peak_gb": round(max(line["peak_gb"] for line in every), 2),
        "checkpoint": checkpoints,
        "model_gb": round(size / 1e9, 2),
        "torch": torch.__version__,
        "seconds": round(time.monotonic() - start, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
