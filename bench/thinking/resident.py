"""vLLM in a process of its own, controlled by one line of JSON per turn.

The process starts once and stays; while it waits it uses no CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.thinking.turns import Measure
from bench.thinking.workloads import Requests

WORKER = Path(__file__).with_name("worker.py")

SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}
"""One process and one thread: the fastest setting on one core (several processes were three times slower)."""

FORMATS = {"dtype": "float32", "load_format": "auto", "processor": ""}


class Resident:
    """vLLM in `mode` (eager or compiled), run by the interpreter `python`, on `core` alone if one is given.

    `formats` replace those of `FORMATS`. With `processor`, a class path of z1's plug-in, z1 is imported there as well.
    """

    def __init__(self, python: str, folder: str, mode: str, core: int | None, **formats: str) -> None:
        self._slots, self._length = 64, 512
        formats = FORMATS | formats
        command = [python, str(WORKER), folder, mode, str(self._slots), str(self._length), *formats.values()]
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        if formats["processor"]:
            env["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
        env |= SETTINGS | {"VLLM_CPU_OMP_THREADS_BIND": "nobind" if core is None else str(core)}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.version: str = self._answer()["ready"]

    def run(self, way: str, requests: Requests) -> Measure:
        """Run one turn."""
        rows = [(r.prompt, r.thinking, r.hint, r.answer) for r in requests]
        assert self._process.stdin is not None
        print(json.dumps({"way": way, "requests": rows}), file=self._process.stdin, flush=True)
        found = self._answer()
        return Measure(found["seconds"], found["cpu"], int(found["tokens"]))

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"vLLM's process ended with status {self._process.wait()}; see its output above")
        found: dict[str, Any] = json.loads(line)
        return found
