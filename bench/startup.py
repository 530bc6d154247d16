"""Startup time of `import z1`, of `z1 --help`, and of `z1 think` with the model in the package.

Wall time and CPU time of new processes, compared with an empty Python, with one that imports the libraries of the
command line (typer and rich), and with one that imports torch. Cases alternate, so that a slowdown of the machine
affects all of them; a ratio or a difference is the median of those within a turn. Some cases run without bytecode too:
there Python compiles all sources, also those of its standard library, and keeps nothing. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import record

SCRIPT = Path(sys.executable).parent / "z1"
Z1 = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "z1"]

CASES: dict[str, list[str]] = {
    "python": [sys.executable, "-c", "pass"],
    "typer_rich": [sys.executable, "-c", "import typer, rich"],
    "import_z1": [sys.executable, "-c", "import z1"],
    "help": [*Z1, "--help"],
    "import_torch": [sys.executable, "-c", "import torch"],
    "think": [*Z1, "think", "print(3 + 4)"],
}

COMPILED = ("help", "import_torch", "think")
"""Cases that are also measured without bytecode."""

RATIOS = [
    ("import_z1", "python"),
    ("import_z1", "typer_rich"),
    ("help", "python"),
    ("help", "typer_rich"),
    ("think", "import_torch"),
]

HELP_LIMIT = 0.35
"""Maximum seconds of `z1 --help` with bytecode on an idle machine."""

THINK_LIMIT = 1.5
"""Maximum seconds of `z1 think` beyond those of `import torch`, with bytecode on an idle machine."""

Times = dict[str, tuple[float, float]]
"""Wall seconds and CPU seconds of each case."""


def seconds(command: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Wall time and CPU time of one process; exits with its message if it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}; {done.stderr.strip().splitlines()[-1:]}")
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def turns(names: list[str], environment: Mapping[str, str], count: int, max_seconds: float) -> list[Times]:
    """Up to `count` turns through the cases, at least three, started within `max_seconds`; the first is dropped."""
    end = time.monotonic() + max_seconds
    found: list[Times] = []
    while len(found) <= 3 or (len(found) <= count and time.monotonic() < end):
        order = names if len(found) % 2 else names[::-1]
        found.append({name: seconds(CASES[name], environment) for name in order})
    return found[1:]


def spread(values: list[float]) -> list[float]:
    """Quartiles: lower, median, upper."""
    return [round(value, 4) for value in quantiles(values, n=4, method="inclusive")]


def measure(names: list[str], environment: Mapping[str, str], count: int, max_seconds: float) -> dict[str, Any]:
    """The quartiles of the cases, of their ratios in wall time, and of `think` beyond `import torch`."""
    taken = turns(names, environment, count, max_seconds)

    def quartiles(value: Callable[[Times, int], float]) -> tuple[list[float], list[float]]:
        return spread([value(turn, 0) for turn in taken]), spread([value(turn, 1) for turn in taken])

    times = {name: quartiles(lambda turn, clock, name=name: turn[name][clock]) for name in names}  # type: ignore[misc]
    beyond = quartiles(lambda turn, clock: turn["think"][clock] - turn["import_torch"][clock])
    ratios = {
        f"{one}/{other}": spread([turn[one][0] / turn[other][0] for turn in taken])
        for one, other in RATIOS
        if one in names and other in names
    }
    return {
        "turns": len(taken),
        "ratio_quartiles": ratios,
        "second_quartiles": {name: wall for name, (wall, _) in times.items()},
        "cpu_second_quartiles": {name: cpu for name, (_, cpu) in times.items()},
        "think_beyond_torch": {"second_quartiles": beyond[0], "cpu_second_quartiles": beyond[1]},
    }


def show(title: str, found: Mapping[str, Any]) -> None:
    """Print the table of one measurement."""
    print(f"{title}, {found['turns']} turns")
    rows = {name: (wall, found["cpu_second_quartiles"][name]) for name, wall in found["second_quartiles"].items()}
    rows["think - import_torch"] = tuple(found["think_beyond_torch"].values())
    for name, (wall, cpu) in rows.items():
        low, middle, high = wall
        print(f"  {name:24} {middle:7.3f} s   [{low:.3f}, {high:.3f}]   CPU {cpu[1]:.3f} s")
    for name, (low, middle, high) in found["ratio_quartiles"].items():
        print(f"  {name:24} {middle:7.2f} x   [{low:.2f}, {high:.2f}]")


def main() -> None:
    """Measure, print the tables, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Startup time of z1.")
    parser.add_argument("--quick", action="store_true", help="fewer turns; about a minute")
    quick = parser.parse_args().quick
    warm = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as empty:
        cold = {**warm, "PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"}
        found = measure(list(CASES), warm, *((9, 30.0) if quick else (40, 240.0)))
        compiled = measure(list(COMPILED), cold, *((3, 0.0) if quick else (15, 180.0)))
    show("with bytecode", found)
    show("without bytecode", compiled)
    help_seconds = found["second_quartiles"]["help"][1]
    think_seconds = found["think_beyond_torch"]["second_quartiles"][1]
    result = {
        "bench": "startup",
        **record.environment(),
        "ratios": {name: middle for name, (_, middle, _) in found["ratio_quartiles"].items()},
        **found,
        "without_bytecode": compiled,
        "import_seconds": found["second_quartiles"]["import_z1"][1],
        "help_seconds": help_seconds,
        "help_in_time": help_seconds <= HELP_LIMIT,
        "think_beyond_torch_seconds": think_seconds,
        "think_in_time": think_seconds <= THINK_LIMIT,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
