"""How many programs are graded in a second?

Small programs on stdin and stdout with six inputs each, one at a time, three ways that take turns in one process: z1's
sandbox; plain `subprocess` with the same interpreter, a process an input and no isolation; and `exec` of all inputs in
one forked child with the output caught, a manager bringing the results home, as the harnesses of HumanEval and
LiveCodeBench do it (no isolation, and one input can change the next). A ratio is the median of the ratios within a
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
"""How solutions of contests begin."""

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
"""Programs with six inputs each and the outputs that are right, as the tests of a contest problem are."""

Runner = Callable[[str, list[str]], list[str]]
"""From a program and its inputs to its outputs."""


def plain(folder: Path) -> Runner:
    """A new interpreter for each program, as a careful grader without a sandbox would have it."""
    path = folder / "program.py"

    def run(code: str, inputs: list[str]) -> list[str]:
        path.write_text(code, encoding="utf-8")
        command = [sys.executable, str(path)]
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 10}
        return [subprocess.run(command, input=given, check=True, **settings).stdout for given in inputs]

    return run


def _executed(code: str, inputs: list[str], said: Any) -> None:
    for given in inputs:
        caught = io.StringIO()
        sys.stdin = io.StringIO(given)
        with contextlib.redirect_stdout(caught):
            exec(code, {"__name__": "__main__"})
        said.append(caught.getvalue())


def forked(code: str, inputs: list[str]) -> list[str]:
    """A fork of this process that executes the program on all inputs, and a manager, as those harnesses have it."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        said = manager.list()
        process = context.Process(target=_executed, args=(code, inputs, said))
        process.start()
        process.join(10)
        return list(said)


def sandboxed(sandbox: Sandbox) -> Runner:
    """z1's own way."""

    def run(code: str, inputs: list[str]) -> list[str]:
        with sandbox.open_process(Job("program", code)) as process:
            return [outcome.stdout.decode() for outcome in process.run_each(given.encode() for given in inputs)]

    return run


def seconds(run: Runner) -> float:
    """Seconds a program, over all programs; stops where an output is not the right one."""
    began = time.perf_counter()
    for code, tests in PROGRAMS:
        if (got := run(code, [given for given, _ in tests])) != [wanted for _, wanted in tests]:
            sys.exit(f"wrong output {got!r} for {code!r}")
    return (time.perf_counter() - began) / len(PROGRAMS)


def start(sandbox: Sandbox) -> float:
    """Seconds from handing in a program that does nothing to knowing how it ended, after a pause."""
    time.sleep(0.1)
    began = time.perf_counter()
    sandbox.run(Job("program", ""))
    return time.perf_counter() - began


def over(turns: list[dict[str, float]], peer: str) -> dict[str, Any]:
    """How many times as many programs a second the sandbox grades: the median within a turn, and the quartiles."""
    low, middle, high = quantiles([turn[peer] / turn["sandbox"] for turn in turns], n=4, method="inclusive")
    return {f"over_{peer}": round(middle, 2), f"over_{peer}_quartiles": [round(low, 2), round(high, 2)]}


def main() -> None:
    """Measure, show a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="How many programs are graded in a second?")
    parser.add_argument("--quick", action="store_true", help="fewer turns; ends under 50 s")
    count, allowance = (20, 36.0) if parser.parse_args().quick else (60, 200.0)
    turns: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        ways = {"sandbox": sandboxed(sandbox), "subprocess": plain(Path(folder)), "forked_exec": forked}
        end = time.monotonic() + allowance
        while len(turns) <= 3 or (len(turns) <= count and time.monotonic() < end):
            names = list(ways) if len(turns) % 2 else list(ways)[::-1]
            turns.append({name: seconds(ways[name]) for name in names})
        starts = [start(sandbox) for _ in range(60)]
        layers = sandbox.layers
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
        "programs_a_second": round(1 / median(turn["sandbox"] for turn in turns), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
