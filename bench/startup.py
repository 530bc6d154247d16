"""Startup time of `import z1` and of `z1 --help`.

Wall time of new processes, compared with an empty Python and with one that imports the libraries of the command line
(typer and rich). Cases alternate, so that a slowdown of the machine affects all of them; a ratio is the median of the
ratios within a turn. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

SCRIPT = Path(sys.executable).parent / "z1"

CASES: dict[str, list[str]] = {
    "python": [sys.executable, "-c", "pass"],
    "typer_rich": [sys.executable, "-c", "import typer, rich"],
    "import_z1": [sys.executable, "-c", "import z1"],
    "help": [str(SCRIPT), "--help"] if SCRIPT.exists() else [sys.executable, "-m", "z1.cli.main", "--help"],
}

RATIOS = [("import_z1", "python"), ("import_z1", "typer_rich"), ("help", "python"), ("help", "typer_rich")]

LIMIT = 0.5
"""Maximum seconds of `z1 --help` on an idle machine."""


def seconds(command: list[str]) -> float:
    """Wall time of one process; exits with its message if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}; {done.stderr.strip().splitlines()[-1:]}")
    return taken


def turns(count: int, max_seconds: float) -> list[dict[str, float]]:
    """Up to `count` turns through all cases, at least three, started within `max_seconds`; the first is dropped."""
    end = time.monotonic() + max_seconds
    found: list[dict[str, float]] = []
    names = list(CASES)
    while len(found) <= 3 or (len(found) <= count and time.monotonic() < end):
        order = names if len(found) % 2 else names[::-1]
        found.append({name: seconds(CASES[name]) for name in order})
    return found[1:]


def spread(values: list[float]) -> list[float]:
    """Quartiles: lower, median, upper."""
    return [round(value, 4) for value in quantiles(values, n=4, method="inclusive")]


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Startup time of z1.")
    parser.add_argument("--quick", action="store_true", help="fewer turns; under 50 s")
    quick = parser.parse_args().quick
    taken = turns(9, 30.0) if quick else turns(40, 240.0)
    times = {name: spread([turn[name] for turn in taken]) for name in CASES}
    ratios = {f"{one}/{other}": spread([turn[one] / turn[other] for turn in taken]) for one, other in RATIOS}
    for name, (low, middle, high) in times.items():
        print(f"{name:24} {middle:7.3f} s   [{low:.3f}, {high:.3f}]")
    for name, (low, middle, high) in ratios.items():
        print(f"{name:24} {middle:7.2f} x   [{low:.2f}, {high:.2f}]")
    help_seconds = round(median(turn["help"] for turn in taken), 4)
    result = {
        "bench": "startup",
        "turns": len(taken),
        "python": platform.python_version(),
        "ratios": {name: middle for name, (_, middle, _) in ratios.items()},
        "ratio_quartiles": ratios,
        "second_quartiles": times,
        "import_seconds": times["import_z1"][1],
        "help_seconds": help_seconds,
        "help_in_time": help_seconds < LIMIT,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
