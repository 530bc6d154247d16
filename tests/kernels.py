"""Running tests with each of torch's kernels that this processor supports.

torch chooses its kernels at import, by the processor's instructions and environment variables, so each choice needs a
process of its own. `run` starts one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

INSTRUCTIONS = {"default": "SSE4_2", "avx2": "AVX2", "avx512": "AVX512"}
"""torch's own kernels (ATEN_CPU_CAPABILITY), slowest first, and the instructions of MKL's matrix products for each.

MKL respects MKL_ENABLE_INSTRUCTIONS on Intel's processors only.
"""

PRODUCTS: dict[str, dict[str, str]] = {"fastest": {}, "compatible": {"MKL_CBWR": "COMPATIBLE"}}
"""MKL's matrix products: its own choice, and those for every processor, which it also uses on AMD's."""


def choices() -> list[tuple[str, str]]:
    """Capability and products that are safe here: each of torch's kernels up to those of this process (torch does not
    check whether the processor has the instructions that a variable names), and the last with the other products.
    """
    names = list(INSTRUCTIONS)
    best = torch.backends.cpu.get_cpu_capability().lower()
    safe = names[: names.index(best) + 1] if best in names else names[:1]
    return [*((name, "fastest") for name in safe), (safe[-1], "compatible")]


def environment(capability: str, products: str) -> dict[str, str]:
    """This environment, with variables that choose the kernels and without those of pytest."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MKL_", "PYTEST_"))}
    chosen = {"ATEN_CPU_CAPABILITY": capability, "MKL_ENABLE_INSTRUCTIONS": INSTRUCTIONS[capability]}
    return {**kept, **chosen, **PRODUCTS[products], "PYTHONPATH": os.pathsep.join(sys.path)}


TESTS = """
import sys, pytest, torch
found = torch.backends.cpu.get_cpu_capability().lower()
assert found == sys.argv[1], f"torch uses {found}"
sys.exit(pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def run(tests: list[str], capability: str, products: str) -> None:
    """Run `tests`, as pytest names them, with these kernels. Raises AssertionError with their output if one fails."""
    done = subprocess.run(
        [sys.executable, "-c", TESTS, capability, *tests],
        env=environment(capability, products),
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
