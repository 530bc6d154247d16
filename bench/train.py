"""Training throughput: learned tokens per second of z1, of the reference script, and of TRL's SFTTrainer.

All trainers train the same model on the same rows, which have the length distribution of the paper's data, and
alternate within one run: z1, the reference script (pad micro-batches of 2 and of 16 rows), and SFTTrainer in its
fastest setting without attention across rows. Ratios compare learned tokens per second of CPU time, because one thread
computes and other processes use the machine; above 1, z1 is faster. `matmul_share` is the minimal arithmetic of the
steps over what this machine's matrix product computes in the same time. The last line is JSON.

    bench/train.py --quick          under 50 s: shorter rows, smaller model
    bench/train.py --full           a quarter of the lengths, all settings of TRL; writes bench/results/train.json
    bench/train.py --device cuda    the 7B shape in bfloat16: memory, and model FLOPs utilization; not run so far
    bench/train.py --dtype bfloat16    the same code on a CPU with a small shape
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import torch

from bench import record
from bench.thinking.models import SHAPES, Shape, make_model
from bench.thinking.roofline import Machine
from bench.thinking.turns import Arm, Round, over, rates, rounds, timed
from bench.training import accelerator, workload
from bench.training.crosstalk import CLOSE, sft_leakage
from bench.training.flops import flops
from bench.training.ours import Ours
from bench.training.reference import Reference
from bench.training.sft import SETTINGS, Sft
from z1.train.encode import EncodedRows

BATCH = 32
"""Rows of a global batch: the share of one of the reference's eight processes in a batch of 256."""

SMALL = "bench-2m"
MIDDLE = Shape("bench-10m", 384, 6, 6, 2, 1024, 4096, spread=0.05)

HEADLINE = ("over_reference_mb2", "over_reference_mb16", "over_trl")


def arms(
    shape: Shape, rows: EncodedRows, micro_tokens: int, settings: list[str]
) -> tuple[dict[str, Arm], dict[str, float]]:
    """Each trainer with its own copy of the model, and the leakage between rows in those of TRL."""

    def model() -> Any:
        return make_model(shape, "cpu", workload.CUT)

    made: dict[str, Any] = {"ours": Ours(model(), rows, BATCH, micro_tokens)}
    made |= {f"reference, {micro}": Reference(model(), rows, BATCH, micro) for micro in (2, 16)}
    leakage = {}
    for setting in settings:
        trainer = Sft(model(), tokenizer(shape), rows, BATCH, setting, micro_tokens)
        leakage[f"trl, {setting}"] = sft_leakage(trainer.trainer, setting)
        made[f"trl, {setting}"] = trainer
    return {name: lambda each=each: timed(each.epoch) for name, each in made.items()}, leakage  # type: ignore[misc]


def tokenizer(shape: Shape) -> Any:
    """A tokenizer that gives TRL its pad token; no text is tokenized."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(shape.vocabulary)}
    plain = Tokenizer(models.WordLevel(words, unk_token="w1"))
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="w0", eos_token="w2")


def measured(shape: Shape, rows: EncodedRows, found: list[Round], leakage: dict[str, float]) -> dict[str, Any]:
    """Ratios and shares of these rounds; for TRL, of its fastest setting without attention across rows."""
    ratios = {name: over(found, "ours", name) for name in found[0] if name != "ours"}
    isolated = [name for name, moved in leakage.items() if moved < CLOSE]
    best = min(isolated, key=lambda name: ratios[name]["cpu"][1])
    rate = Machine(torch.device("cpu"), torch.float32).matrix_rate()
    least = flops(shape, rows)
    shares = sorted(least / turn["ours"].cpu / rate for turn in found)
    middle = {
        "over_reference_mb2": ratios["reference, 2"]["cpu"][1],
        "over_reference_mb16": ratios["reference, 16"]["cpu"][1],
        "over_trl": ratios[best]["cpu"][1],
    }
    return {
        **middle,
        "matmul_share": round(shares[len(shares) // 2], 4),
        "trl_best": best,
        "trl_heard": {name: float(f"{moved:.2g}") for name, moved in leakage.items()},
        "ratios": ratios,
        "learned_per_second": rates(found),
        "matrix_gflops": round(rate / 1e9, 1),
        "rounds": len(found),
        "rows": len(rows),
        "ids": int(rows.lengths.sum()),
        "learned": int(rows.learned_counts.sum()),
        "longest": int(rows.lengths.max()),
    }


def quick(start: float) -> dict[str, Any]:
    """A sixteenth of the lengths, the small model, two settings of TRL."""
    shape, rows = SHAPES[SMALL], workload.rows(BATCH, 16, 4096)
    made, leakage = arms(shape, rows, 1024, ["packed", "grouped, 8"])
    return measured(shape, rows, rounds(made, 5, 36 - (time.monotonic() - start)), leakage)


def full() -> dict[str, Any]:
    """A quarter of the lengths, a larger model, all settings of TRL, including those that attend across rows.

    The model is a ninth as wide as the 7B: at the full lengths attention would take a far larger share than there, and
    a pad batch of 16 would need 21 GB.
    """
    rows = workload.rows(64, 4, MIDDLE.vocabulary)
    made, leakage = arms(MIDDLE, rows, workload.CUT // 4, list(SETTINGS))
    return {**record.environment(["trl"]), **measured(MIDDLE, rows, rounds(made, 3, 3600), leakage)}


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Training throughput of z1, the reference script and TRL.")
    parser.add_argument("--quick", action="store_true", help="shorter rows and a smaller model; under 50 s")
    parser.add_argument("--full", action="store_true", help="write the result to bench/results")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: the 7B shape in bfloat16")
    parser.add_argument("--dtype", choices=["bfloat16"], help="on a CPU: what --device cuda runs, with a small shape")
    parser.add_argument("--layers", type=int, default=0, help="layers of the 7B shape; 0: as many as fit")
    given = parser.parse_args()
    start = time.monotonic() - time.process_time()  # count the imports too
    torch.set_num_threads(1 if given.device == "cpu" else torch.get_num_threads())
    warnings.simplefilter("ignore")
    if given.device != "cpu" or given.dtype:
        result = accelerator.train(given.device, given.layers)
    else:
        result = quick(start) if given.quick else full()
    result = {"bench": "train", **result, "seconds": round(time.monotonic() - start, 1)}
    for name, both in result.get("ratios", {}).items():
        shown = "   ".join(f"{kind} {m:6.2f} x [{low:.2f}, {high:.2f}]" for kind, (low, m, high) in both.items())
        print(f"  over {name:20} {shown}")
    if given.full:
        record.write("train", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
