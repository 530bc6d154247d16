"""Grading throughput: programs per second in z1's sandbox, compared with two unsandboxed ways.

Small programs on stdin and stdout with six inputs each, one at a time. Three ways alternate in one process: z1's
sandbox; plain `subprocess` with the same interpreter, one process per input, without isolation; and `exec` of all
inputs in one forked child with captured output and a manager that returns the results, as the harnesses of HumanEval
and LiveCodeBench do (no isolation, and one input can affect the next). A ratio is the median of the ratios within a
turn. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from z1.sandbox import Job, Sandbox

HEAD = "import sys\nimport math\nfrom collections import Counter, defaultdict, deque\nfrom functools import lru_cache\n"
"""Typical imports of a contest solution."""

PROGRAMS: list[tuple[str, list[tuple[str, str]]]] = [
    (HEAD + "print(sum(map(int, input().split())))", [(f"1 2 {n}\n", f"{3 + n}\n") for n in range(6)]),
    (HEAD + "for line in sys.stdin:\n    print(int(line) ** 2)", [(f"3\n{n}\n", f"9\n{n * n}\n") for n in range(6)]),
    (HEAD + "print(*sorted(Counter(input())), sep='')", [("hello" + c + "\n", "ehlo" + c + "\n") for c in "pqrstu"]),
    (
        HEAD + "@lru_cache(None)\ndef f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(int(input())))",
        [("80\n", "23416728348467685\n"), ("1\n", "1\n"), ("9\n", "34\n")] * 2,
    ),
    (HEAD + "n = int(input())\nprint(math.gcd(n, 84), math.isqrt(n))", [("126\n", "42 11\n"), ("1\n", "1 1\n")] * 3),
    (HEAD + "n = int(input())\nprint(sum(i * i % 7 for i in range(n)))", [("5000\n", "9997\n"), ("3\n", "5\n")] * 3),
]
"""Programs with six inputs each and the expected outputs, like the tests of a contest problem."""

Runner = Callable[[str, list[str]], list[str]]
"""From a program and its inputs to its outputs."""


def plain(folder: Path) -> Runner:
    """A new interpreter per input, as in a grader without a sandbox."""
    path = folder / "program.py"

    def run(code: str, inputs: list[str]) -> list[str]:
        path.write_text(code, encoding="utf-8")
        command = [sys.executable, str(path)]
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 10}
        return [subprocess.run(command, input=given, check=True, **settings).stdout for given in inputs]

    return run


def _execute(code: str, inputs: list[str], outputs: Any) -> None:
    for given in inputs:
        caught = io.StringIO()
        sys.stdin = io.StringIO(given)
        with contextlib.redirect_stdout(caught):
            exec(code, {"__name__": "__main__"})
        outputs.append(caught.getvalue())


def forked(code: str, inputs: list[str]) -> list[str]:
    """A fork of this process that executes the program on all inputs, and a manager, as in those harnesses."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        outputs = manager.list()
        process = context.Process(target=_execute, args=(code, inputs, outputs))
        process.start()
        process.join(10)
        return list(outputs)


def sandboxed(sandbox: Sandbox) -> Runner:
    """z1's sandbox."""

    def run(code: str, inputs: list[str]) -> list[str]:
        with sandbox.open_process(Job("program", code)) as process:
            return [outcome.stdout.decode() for outcome in process.run_each(given.encode() for given in inputs)]

    return run


def seconds(run: Runner) -> float:
    """Seconds per program, over all programs; exits on a wrong output."""
    start = time.perf_counter()
    for code, tests in PROGRAMS:
        if (got := run(code, [given for given, _ in tests])) != [expected for _, expected in tests]:
            sys.exit(f"wrong output {got!r} for {code!r}")
    return (time.perf_counter() - start) / len(PROGRAMS)


def startup(sandbox: Sandbox, code: str = "") -> float:
    """Latency in seconds of a program, by default an empty one, after a pause."""
    time.sleep(0.1)
    start = time.perf_counter()
    sandbox.run(Job("program", code))
    return time.perf_counter() - start


def over(turns: list[dict[str, float]], peer: str) -> dict[str, Any]:
    """Ratio of programs per second in the sandbox to those of a peer: the median within a turn, and the quartiles."""
    low, middle, high = quantiles([turn[peer] / turn["sandbox"] for turn in turns], n=4, method="inclusive")
    return {f"over_{peer}": round(middle, 2), f"over_{peer}_quartiles": [round(low, 2), round(high, 2)]}


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Grading throughput.")
    parser.add_argument("--quick", action="store_true", help="fewer turns; under 50 s")
    count, max_seconds = (20, 36.0) if parser.parse_args().quick else (60, 200.0)
    turns: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        ways = {"sandbox": sandboxed(sandbox), "subprocess": plain(Path(folder)), "forked_exec": forked}
        end = time.monotonic() + max_seconds
        while len(turns) <= 3 or (len(turns) <= count and time.monotonic() < end):
            names = list(ways) if len(turns) % 2 else list(ways)[::-1]
            turns.append({name: seconds(ways[name]) for name in names})
        starts = [startup(sandbox) for _ in range(60)]
        layers = sandbox.layers
    with Sandbox(preload=["numpy"]) as sandbox:
        numpy_starts = [startup(sandbox, "import numpy") for _ in range(30)]
    turns = turns[1:]
    for name in ways:
        low, middle, high = quantiles([turn[name] for turn in turns], n=4, method="inclusive")
        print(f"{name:12} {1000 * middle:7.2f} ms   [{1000 * low:.2f}, {1000 * high:.2f}]   {1 / middle:6.1f} a second")
    result = {
        "bench": "grade",
        "turns": len(turns),
        "python": platform.python_version(),
        "layers": layers,
        **over(turns, "subprocess"),
        **over(turns, "forked_exec"),
        "sandbox_start_ms": round(1000 * median(starts), 2),
        "numpy_start_ms": round(1000 * median(numpy_starts), 2),
        "programs_a_second": round(1 / median(turn["sandbox"] for turn in turns), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
