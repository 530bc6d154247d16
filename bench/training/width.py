"""Does the recipe's own path carry the 7B's width?

Two layers of Qwen2.5-Coder-7B (hidden 3,584, 28 heads, 18,944 wide) with a vocabulary of 8,192 and random weights,
525M parameters, are trained ten steps on a CPU by the recipe z1-7b: packed, with gradient checkpointing, in float32
and with smaller batches. The first process is asked to end (SIGTERM) in the fourth step, which is saved; the second
is killed with -9 after the sixth, which is not; the third runs to the end. Needs 12 GB of memory, 20 GB of disk, and
minutes of one core. The last line is JSON.

    python -m bench.training.width FOLDER            FOLDER is made, and deleted at the end
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
from z1.train.scratch.trainer import Progress
from z1.train.sft.trainer import TrainingSet, finetune

RECIPE = Path(__file__).parents[2] / "recipes" / "z1-7b.toml"

SHAPE = Shape("seven-wide", 3584, 2, 28, 4, 18944, 8192, tied=False, spread=0.02)

STEPS, ROWS, SHRUNK = 10, 4, 16

LIVES = {"asked": (3, signal.SIGTERM), "killed": (6, signal.SIGKILL), "rest": (0, None)}
"""After which step each gets which signal."""


def life(folder: Path, last: int, number: signal.Signals | None) -> None:
    """Train to the end, or to a signal; a line of JSON a step."""

    def report(progress: Progress) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        said = {"step": progress.step, "loss": progress.loss, "cpu": used.ru_utime + used.ru_stime}
        print(json.dumps({**said, "peak_gb": used.ru_maxrss / 1e6, "tokens": progress.tokens}), flush=True)
        if number is not None and progress.step == last:
            os.kill(os.getpid(), number)

    told = recipes.load(RECIPE)
    if told.finetune is None:
        raise SystemExit(f"{RECIPE} has no [finetune]")
    small = {"precision": "float32", "max_length": 512, "micro_tokens": 512, "batch_samples": ROWS, "epochs": 1.0}
    changed = told.finetune.model_copy(update={**small, "checkpoint_seconds": 10**6})
    rows = workload.rows(STEPS * ROWS, SHRUNK, SHAPE.vocabulary)
    corpus = TrainingSet(rows, None, str(folder / "base"), {"rows": len(rows), "ids": "random"})
    finetune(told.model_copy(update={"finetune": changed}), corpus, folder / "run", report)


def base(folder: Path) -> None:
    """The random model, and a tokenizer of as many ids."""
    from bench.train import tokenizer

    make_model(SHAPE, "cpu", workload.CUT).save_pretrained(folder)
    tokenizer(SHAPE).save_pretrained(folder)


def run(folder: Path, what: str) -> tuple[int, list[dict[str, Any]]]:
    """Another process of this script; how it ended, and the lines that it said."""
    command = [sys.executable, "-m", "bench.training.width", str(folder), "--life", what]
    done = subprocess.run(command, cwd=RECIPE.parents[1], stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    """Make the base, train to the kill, train to the end."""
    parser = argparse.ArgumentParser(description="Does the recipe's own path carry the 7B's width?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--life", choices=["base", *LIVES], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.life == "base":
        base(given.folder / "base")
        return
    if given.life:
        life(given.folder, *LIVES[given.life])
        return
    begun = time.monotonic()
    given.folder = given.folder.absolute()
    given.folder.mkdir(parents=True)
    try:
        ends = [run(given.folder, what) for what in ("base", *LIVES)]
        size = sum(path.stat().st_size for path in (given.folder / "run" / "model").glob("*.safetensors"))
        kept = [path.name for path in (given.folder / "run").glob("checkpoint-*")]
    finally:
        shutil.rmtree(given.folder, ignore_errors=True)
    every = [line for _, lines in ends for line in lines]
    twice = [{line["loss"] for line in every if line["step"] == step} for step in (5, 6)]
    result = {
        "bench": "width",
        "parameters": 2 * (3584 * (2 * 3584 + 2 * 512 + 3 * 18944) + 3584 * 2 + 3584 + 2 * 512)
        + 3584
        + 2 * 8192 * 3584,
        "ended": [status for status, _ in ends],
        "steps": [line["step"] for line in every],
        "same_bits_again": all(len(losses) == 1 for losses in twice),
        "losses": [round(line["loss"], 4) for line in every],
        "cpu_seconds": [round(line["cpu"], 1) for line in every],
        "peak_gb": round(max(line["peak_gb"] for line in every), 2),
        "checkpoint": kept,
        "model_gb": round(size / 1e9, 2),
        "torch": torch.__version__,
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
