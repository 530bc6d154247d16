"""How many supervised tokens a second does training teach here, and elsewhere?

The same rows, at the length distribution of the paper's data, to the same model in the same run: this trainer takes
turns with the reference's way (padded micro-batches of 2 and of 16 rows) and with TRL's SFTTrainer at the fastest of
its ways that pass the test for cross-talk. Ratios are of learned ids a second of CPU time (one thread computes;
others use the machine); above 1 this trainer is faster. `matmul_share` is the least arithmetic of the steps over what
this machine's matrix product would do in their time. The last line is JSON.

    bench/train.py --quick          ends under 50 s: lengths and model shrunk
    bench/train.py --full           a quarter of the lengths, all of TRL's ways; writes bench/results/train.json
    bench/train.py --device cuda    tokens a second and model FLOPs utilisation of the 7B shape; never run yet
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

from bench.record import keep, surroundings
from bench.thinking.models import SHAPES, Shape, make_model
from bench.thinking.roofline import Machine
from bench.thinking.turns import Arm, Round, over, rates, rounds, timed
from bench.training import workload
from bench.training.crosstalk import CLOSE, of_sft
from bench.training.flops import flops
from bench.training.ours import Ours
from bench.training.reference import Reference
from bench.training.sft import WAYS, Sft
from z1.train.encode import EncodedRows

BATCH = 32
"""Rows of a global batch: what one of the reference's eight processes computes of 256."""

SMALL = "bench-2m"
MIDDLE = Shape("bench-10m", 384, 6, 6, 2, 1024, 4096, spread=0.05)

HEADLINE = ("over_reference_mb2", "over_reference_mb16", "over_trl")


def arms(
    shape: Shape, rows: EncodedRows, micro_tokens: int, ways: list[str]
) -> tuple[dict[str, Arm], dict[str, float]]:
    """Each trainer with a model of its own, and how far rows hear each other in those of TRL."""

    def model() -> Any:
        return make_model(shape, "cpu", workload.CUT)

    made: dict[str, Any] = {"ours": Ours(model(), rows, BATCH, micro_tokens)}
    made |= {f"reference, {micro}": Reference(model(), rows, BATCH, micro) for micro in (2, 16)}
    heard = {}
    for way in ways:
        trainer = Sft(model(), tokenizer(shape), rows, BATCH, way, micro_tokens)
        heard[f"trl, {way}"] = of_sft(trainer.trainer, way)
        made[f"trl, {way}"] = trainer
    return {name: lambda each=each: timed(each.epoch) for name, each in made.items()}, heard  # type: ignore[misc]


def tokenizer(shape: Shape) -> Any:
    """One that TRL can read its pad id from; no text is made into ids."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(shape.vocabulary)}
    plain = Tokenizer(models.WordLevel(words, unk_token="w1"))
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="w0", eos_token="w2")


def measured(shape: Shape, rows: EncodedRows, found: list[Round], heard: dict[str, float]) -> dict[str, Any]:
    """Ratios and shares of these rounds; TRL's is that of its fastest way in which no row hears another."""
    ratios = {name: over(found, "ours", name) for name in found[0] if name != "ours"}
    sound = [name for name, moved in heard.items() if moved < CLOSE]
    best = min(sound, key=lambda name: ratios[name]["cpu"][1])
    rate = Machine(make_model(shape, "cpu", 8)).matrix_rate()
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
        "trl_heard": {name: float(f"{moved:.2g}") for name, moved in heard.items()},
        "ratios": ratios,
        "learned_per_second": rates(found),
        "matrix_gflops": round(rate / 1e9, 1),
        "rounds": len(found),
        "rows": len(rows),
        "ids": int(rows.lengths.sum()),
        "learned": int(rows.learned_counts.sum()),
        "longest": int(rows.lengths.max()),
    }


def quick(begun: float) -> dict[str, Any]:
    """A sixteenth of the lengths, the small model, TRL in two ways."""
    shape, rows = SHAPES[SMALL], workload.rows(BATCH, 16, 4096)
    made, heard = arms(shape, rows, 1024, ["packed", "grouped, 8"])
    return measured(shape, rows, rounds(made, 5, 36 - (time.monotonic() - begun)), heard)


def full() -> dict[str, Any]:
    """A quarter of the lengths, a larger model, TRL in all ways, those apart in which rows hear each other.

    The model is a ninth as wide as the 7B, so that attention would weigh far more than there at the lengths themselves
    (and a padded batch of 16 would hold 21 GB).
    """
    rows = workload.rows(64, 4, MIDDLE.vocabulary)
    made, heard = arms(MIDDLE, rows, workload.CUT // 4, list(WAYS))
    return {**surroundings(["trl"]), **measured(MIDDLE, rows, rounds(made, 3, 3600), heard)}


def accelerator(device: str, layers: int) -> dict[str, Any]:
    """The 7B shape, or its first layers, in bfloat16: ids a second and the share of the measured matrix rate."""
    from bench.training.accelerator import run

    return run(SHAPES["qwen2.5-coder-7b"], device, layers)


def main() -> None:
    """Measure, show a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="How many supervised tokens a second does training teach?")
    parser.add_argument("--quick", action="store_true", help="lengths and model shrunk; ends under 50 s")
    parser.add_argument("--full", action="store_true", help="keep what a whole run finds in bench/results")
    parser.add_argument("--device", default="cpu", help="cuda: the 7B shape in bfloat16")
    parser.add_argument("--layers", type=int, default=0, help="of that shape; as many as fit where nothing is said")
    given = parser.parse_args()
    begun = time.monotonic() - time.process_time()  # importing is almost all that has happened
    torch.set_num_threads(1 if given.device == "cpu" else torch.get_num_threads())
    warnings.simplefilter("ignore")
    if given.device != "cpu":
        result = accelerator(given.device, given.layers)
    else:
        result = quick(begun) if given.quick else full()
    result = {"bench": "train", **result, "seconds": round(time.monotonic() - begun, 1)}
    for name, both in result.get("ratios", {}).items():
        shown = "   ".join(f"{kind} {m:6.2f} x [{low:.2f}, {high:.2f}]" for kind, (low, m, high) in both.items())
        print(f"  over {name:20} {shown}")
    if given.full:
        keep("train", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
