"""With which kernels can torch compute on this processor?

A kernel is chosen when torch is imported, by the processor's instructions and by variables of the environment, so each
choice needs a process of its own. `run` starts one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

INSTRUCTIONS = {"default": "SSE4_2", "avx2": "AVX2", "avx512": "AVX512"}
"""torch's own kernels (ATEN_CPU_CAPABILITY), least first, and the instructions for MKL's matrix products beside them.

MKL heeds MKL_ENABLE_INSTRUCTIONS on Intel's processors only.
"""

PRODUCTS: dict[str, dict[str, str]] = {"fastest": {}, "compatible": {"MKL_CBWR": "COMPATIBLE"}}
"""MKL's matrix products: as it chooses, and those that it has for every processor, which AMD's heed too."""


def choices() -> list[tuple[str, str]]:
    """Capability and products that are safe here: each of torch's kernels up to those of this process, for torch asks
    no processor whether it has the instructions that a variable names; and the last with the other products.
    """
    names = list(INSTRUCTIONS)
    best = torch.backends.cpu.get_cpu_capability().lower()
    safe = names[: names.index(best) + 1] if best in names else names[:1]
    return [*((name, "fastest") for name in safe), (safe[-1], "compatible")]


def environment(capability: str, products: str) -> dict[str, str]:
    """This environment, but for what chooses kernels and what pytest says to its own processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MKL_", "PYTEST_"))}
    chosen = {"ATEN_CPU_CAPABILITY": capability, "MKL_ENABLE_INSTRUCTIONS": INSTRUCTIONS[capability]}
    return {**kept, **chosen, **PRODUCTS[products], "PYTHONPATH": os.pathsep.join(sys.path)}


TESTS = """
import sys, pytest, torch
found = torch.backends.cpu.get_cpu_capability().lower()
assert found == sys.argv[1], f"torch computes with {found}"
sys.exit(pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def run(tests: list[str], capability: str, products: str) -> None:
    """Run `tests`, as pytest names them, with these kernels; AssertionError with their output where one fails."""
    done = subprocess.run(
        [sys.executable, "-c", TESTS, capability, *tests],
        env=environment(capability, products),
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
