"""The local engine's choices of layout and threads, each against its alternative, on this processor.

One process for each setting of the kernels (`ATEN_CPU_CAPABILITY`, `MKL_CBWR`) times the products of a decode step of
two models at batch 1, 16 and 64: weights as [in, out] with padded rows (as the decoder stores them), without padding
and as [out, in], and through oneDNN; keys as [D, length] and as [length, D]; numpy's argmax and torch's. These are
medians of CPU time with one thread, so that other work on the machine matters little.

`step` is the wall time of a decode step with one thread and with all threads, with and without the limit on spinning
that the command line sets (`GOMP_SPINCOUNT`), on the machine as it is and beside one busy process a core. The last line
is JSON.

    bench/decode_choices.py --quick        default kernels, the small model; under 50 s
    bench/decode_choices.py --full         writes bench/results/decode_choices.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record
from bench.thinking.models import SHAPES, Shape, make_model
from z1.cli.threads import SPIN_LIMIT
from z1.engines.local.decoder import Decoder, PrefillChunk
from z1.engines.local.kv_store import ROW_PADDING

MODELS = ("bench-2m", "bench-100m")
BATCHES = (1, 16, 64)
CONTEXT = 160
"""Tokens of each sequence that the timed steps attend over."""

KERNELS: tuple[dict[str, str], ...] = (
    {},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ATEN_CPU_CAPABILITY": "avx512"},
    {"MKL_CBWR": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
)
WAITS: tuple[dict[str, str], ...] = ({}, SPIN_LIMIT)


def cpu_times(functions: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median CPU time of a call of each function, in microseconds, in alternation."""
    repeats = {}
    for name, function in functions.items():
        function()
        start = time.thread_time()
        function()
        repeats[name] = max(1, int(0.004 / max(1e-7, time.thread_time() - start)))
    found: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.thread_time()
            for _ in range(repeats[name]):
                function()
            found[name].append((time.thread_time() - start) / repeats[name] * 1e6)
    return {name: round(median(times), 1) for name, times in found.items()}


def weight_layouts(rows: int, width_in: int, width_out: int) -> dict[str, float]:
    """A product [rows, in] x [in, out] with each layout of the weights."""
    x, weight = torch.randn(rows, width_in), torch.randn(width_out, width_in)
    plain = weight.t().contiguous()
    padded = weight.new_zeros((width_in, width_out + ROW_PADDING))[:, :width_out].copy_(plain)
    packed = weight.to_mkldnn()
    return cpu_times(
        {
            "[in, out] padded": lambda: torch.mm(x, padded),
            "[in, out]": lambda: torch.mm(x, plain),
            "[out, in]": lambda: functional.linear(x, weight),
            "oneDNN": lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""),
        }
    )


def key_layouts(shape: Shape, rows: int) -> dict[str, float]:
    """Attention scores of `rows` sequences with each layout of the keys."""
    count, capacity = rows * shape.kv_heads, CONTEXT + ROW_PADDING
    queries = torch.randn(count, shape.heads // shape.kv_heads, shape.head)
    by_size = torch.randn(count, shape.head, capacity)[:, :, :CONTEXT]
    by_length = torch.randn(count, capacity, shape.head)[:, :CONTEXT]
    return cpu_times(
        {
            "[D, length]": lambda: torch.bmm(queries, by_size),
            "[length, D]": lambda: torch.bmm(queries, by_length.transpose(1, 2)),
        }
    )


def argmaxes(shape: Shape, rows: int) -> dict[str, float]:
    """The first largest logit of each row, by numpy and by torch."""
    logits = torch.randn(rows, shape.vocabulary)
    return cpu_times({"numpy": lambda: logits.numpy().argmax(-1), "torch": lambda: logits.argmax(-1)})


@torch.inference_mode()
def choices(names: list[str]) -> dict[str, Any]:
    """All choices of layout for each model and batch size, in this process's kernels."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {"capability": torch.backends.cpu.get_cpu_capability()}
    for name in names:
        shape = SHAPES[name]
        products = {
            "attention": (shape.hidden, shape.hidden + 2 * shape.kv_heads * shape.head),
            "gate_up": (shape.hidden, 2 * shape.ffn),
            "down": (shape.ffn, shape.hidden),
        }
        for rows in BATCHES:
            weights = {product: weight_layouts(rows, *widths) for product, widths in products.items()}
            found[f"{name}, batch {rows}"] = {
                **weights,
                "keys": key_layouts(shape, rows),
                "argmax": argmaxes(shape, rows),
            }
    return found


def steps(names: list[str]) -> dict[str, Any]:
    """Milliseconds of wall time of a decode step with one thread and with all of them."""
    found: dict[str, Any] = {}
    for name in names:
        model = make_model(SHAPES[name], "cpu", 2 * CONTEXT)
        for rows in BATCHES:
            decoder = Decoder(model, rows, 2 * CONTEXT, deterministic=False)
            decoder.last_logits([PrefillChunk(slot, 0, [7] * CONTEXT) for slot in range(rows)])
            times = {}
            for threads in (1, os.cpu_count() or 1):
                torch.set_num_threads(threads)
                times[f"{threads} threads"] = round(step_time(decoder, rows) * 1e3, 2)
            found[f"{name}, batch {rows}"] = times
    return found


def step_time(decoder: Decoder, rows: int, seconds: float = 0.5) -> float:
    """Median seconds of a decode step, of at least three, for about `seconds`."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    for position in range(CONTEXT, 2 * CONTEXT):
        if time.perf_counter() > end and len(times) >= 3:
            break
        start = time.perf_counter()
        decoder.last_logits([PrefillChunk(slot, position, [7]) for slot in range(rows)])
        times.append(time.perf_counter() - start)
    return median(times)


def in_process(part: str, names: list[str], settings: dict[str, str]) -> Any:
    """The result of `part` in a process with `settings`."""
    command = [sys.executable, __file__, "--part", part, "--models", *names]
    clean = {key: value for key, value in os.environ.items() if key not in {*SPIN_LIMIT, "OMP_WAIT_POLICY"}}
    done = subprocess.run(command, env={**clean, **settings}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


@contextmanager
def busy_cores() -> Iterator[None]:
    """One busy process for each core."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(names: list[str], kernels: tuple[dict[str, str], ...]) -> dict[str, Any]:
    """All parts, each in its own process."""
    found: dict[str, Any] = {"choices": {}, "step": {}}
    for settings in kernels:
        found["choices"][_named(settings, "default kernels")] = in_process("choices", names, settings)
    for settings in WAITS:
        name = _named(settings, "spinning")
        found["step"][name] = in_process("steps", names, settings)
        with busy_cores():
            found["step"][f"{name}, busy cores"] = in_process("steps", names, settings)
    return found


def _named(settings: dict[str, str], otherwise: str) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items()) or otherwise


def print_table(part: dict[str, Any]) -> None:
    """A line for each setting, model, batch size and choice."""
    for setting, rows in part.items():
        print(f"\n{setting}")
        for row, values in rows.items():
            print(f"  {row:24} {values}")


def main() -> None:
    """Run one part in this process, or all parts in processes of their own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--part", choices=("choices", "steps"))
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    given = parser.parse_args()
    if given.part:
        print(json.dumps({"choices": choices, "steps": steps}[given.part](given.models)))
        return
    result = measure(given.models if given.full else [MODELS[0]], KERNELS if given.full else KERNELS[:1])
    result["environment"] = record.environment()
    print_table(result["choices"])
    print_table(result["step"])
    if given.full:
        record.write("decode_choices", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
