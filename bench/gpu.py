"""The GPU lines of the decoding and training benchmarks, in one command of less than ten minutes.

In order: the rates of a copy, a read and a matrix product; decoding with the shape of a 7B model in bfloat16 (random
weights) with 1 and 64 contexts; training with half of its layers, then with as many as fit; a step of z1's plug-in as
vLLM's second runner calls it; vLLM on the same requests, if there is one, without the plug-in and with it. Decoding
and training compare the memory said beforehand with the measured one. Each part is a process with a time limit, and
the file is written after each, so a run that is cut off leaves the parts that it finished. Nothing is downloaded. On
a CPU the same code runs with small shapes; **it has never run on a GPU.**

    bench/gpu.py --out DIR                      on a GPU if there is one; writes DIR/gpu.json
    bench/gpu.py --device cpu                   the same code with small shapes, in under a minute
    bench/gpu.py --vllm-python PYTHON           the interpreter of another environment, with vLLM
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

PARTS = {"machine": 50, "decode": 100, "train_half": 90, "train": 130, "plugin": 15, "vllm": 200}
"""The parts in order, and the time limit of each in seconds; 585 in all."""

TOLERANCE = 0.1
"""Relative difference allowed between the memory said beforehand and the measured one."""


def machine(device: str, _python: str) -> dict[str, Any]:
    """The rates of this device in bfloat16."""
    import torch

    from bench.thinking.roofline import Machine

    measured = Machine(torch.device(device), torch.bfloat16)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "copy_gigabytes_per_second": round(measured.copy_rate() / 1e9, 1),
        "read_gigabytes_per_second": round(measured.memory_rate() / 1e9, 1),
        "matrix_tflops": round(measured.matrix_rate() / 1e12, 3),
    }


def decode(device: str, _python: str) -> dict[str, Any]:
    """Decoding by z1's engine."""
    from bench.thinking import accelerator

    return accelerator.decode(device)


def train(device: str, _python: str) -> dict[str, Any]:
    """Training with as many layers as fit."""
    from bench.training import accelerator

    return accelerator.train(device)


def train_half(device: str, _python: str) -> dict[str, Any]:
    """Training with half of the layers, which fits in any case."""
    from bench.training import accelerator

    return accelerator.train(device, accelerator.PLANS[device].shape.layers // 2)


def plugin(device: str, _python: str) -> dict[str, Any]:
    """A step of the plug-in with the buffers of vLLM's second runner, without vLLM."""
    from bench.thinking.plugin import step_costs

    return step_costs(device)


def vllm(device: str, python: str) -> dict[str, Any]:
    """Tokens per second of vLLM, compiled, on the requests of `decode`; vLLM makes random weights itself.

    Without the plug-in, then with it and a window for each request.
    """
    from bench.thinking import accelerator
    from bench.thinking.models import SHAPES, make_model
    from bench.thinking.plugin import with_tokenizer
    from bench.thinking.resident import Resident

    if not python and not find_spec("vllm"):
        return {"skipped": "vLLM is not installed; give --vllm-python to use that of another environment"}
    with tempfile.TemporaryDirectory() as folder:
        config = make_model(SHAPES[accelerator.NAMES[device]], "meta", 512, accelerator.DTYPE).config
        config.architectures = ["Qwen2ForCausalLM"]
        config.save_pretrained(folder)
        with_tokenizer(folder)
        found: dict[str, Any] = {}
        for way, processor in (("free", ""), ("window", "z1.vllm_plugin:plain")):
            settings: dict[str, Any] = {"dtype": "bfloat16", "load_format": "dummy", "processor": processor}
            peer = Resident(python or sys.executable, folder, "compiled", None, **settings)
            found["version"] = peer.version
            for batch in accelerator.batches(device):
                requests = accelerator.replies(device, batch)
                turns = [peer.run(way, requests) for _ in range(4)][1:]
                rate = round(median(t.tokens / t.seconds for t in turns), 1)
                name = "tokens_per_second" if way == "free" else "tokens_per_second_with_plugin"
                found.setdefault(f"b{batch}", {})[name] = rate
            peer.close()
    return found


RUN: Mapping[str, Callable[[str, str], dict[str, Any]]] = {
    "machine": machine,
    "decode": decode,
    "train_half": train_half,
    "train": train,
    "plugin": plugin,
    "vllm": vllm,
}


def goals(device: str, parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures that have a goal, as far as their parts have finished: got, goal, and whether it is met.

    On a CPU only memory has goals.
    """
    rates, decoding, training, peer = (parts.get(name, {}) for name in ("machine", "decode", "train", "vllm"))
    found: dict[str, tuple[float, float]] = {}
    if "b1" in decoding and "copy_gigabytes_per_second" in rates:
        bandwidth = max(rates["copy_gigabytes_per_second"], rates["read_gigabytes_per_second"])
        one = decoding["b1"]
        found["decode_b1_share_of_bandwidth"] = one["gigabytes"] / (one["step_ms"][1] / 1e3) / bandwidth, 0.70
    if "b1" in decoding and "b1" in peer:
        ours, theirs = (part["b1"]["tokens_per_second"] for part in (decoding, peer))
        found["decode_b1_over_vllm"] = ours / theirs, 1.3
    if "tokens_per_second_with_plugin" in peer.get("b64", {}):
        with_plugin, without = peer["b64"]["tokens_per_second_with_plugin"], peer["b64"]["tokens_per_second"]
        found["vllm_with_plugin_over_without_b64"] = with_plugin / without, 0.99
    if "mfu_6n" in training:
        found["training_mfu_6n"] = training["mfu_6n"], 0.50
    result: dict[str, dict[str, Any]] = {}
    for name, (got, goal) in found.items() if device == "cuda" else ():
        result[name] = {"got": round(got, 3), "goal": goal, "met": got >= goal}
    memories = {(part, use): one for part in parts for use, one in parts[part].get("memory", {}).items()}
    for (part, use), one in memories.items():
        got = one["measured_over_said"]
        result[f"memory_{part}_{use}"] = {"got": got, "goal": "within 10%", "met": abs(got - 1) <= TOLERANCE}
    return result


def run(part: str, given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """The result of one part in a process of its own, or the error that ended it."""
    command = [sys.executable, __file__, "--part", part, "--device", given.device, "--vllm-python", given.vllm_python]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"error": f"stopped after {seconds:.0f} seconds"}
    if process.returncode:
        return {"error": f"exit status {process.returncode}; see its messages above"}
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found | {"seconds": round(time.monotonic() - start, 1)}


def main() -> None:
    """Run all parts, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Decoding and training on one GPU, and their memory.")
    parser.add_argument("--out", type=Path, help="folder of gpu.json")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="cuda if there is one")
    parser.add_argument("--vllm-python", metavar="PYTHON", default="", help="an interpreter that has vLLM")
    parser.add_argument("--seconds", type=float, default=585.0, help="time limit of the whole run")
    parser.add_argument("--only", choices=list(PARTS), nargs="+", default=list(PARTS), help="these parts alone")
    parser.add_argument("--quick", action="store_true", help="no effect: for `make bench BENCH=--quick`")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    import torch

    given.device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if given.part:
        torch.set_num_threads(1 if given.device == "cpu" else torch.get_num_threads())
        print(json.dumps(RUN[given.part](given.device, given.vllm_python)))
        return
    start = time.monotonic()
    result: dict[str, Any] = {"bench": "gpu", "device": given.device, "parts": {}}
    for part in given.only:
        left = given.seconds - (time.monotonic() - start)
        found = run(part, given, min(PARTS[part], left)) if left > 5 else {"error": "no time left"}
        result["parts"][part] = found
        result["goals"] = goals(given.device, result["parts"])
        result["seconds"] = round(time.monotonic() - start, 1)
        print(part, json.dumps(found), flush=True)
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            (given.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
