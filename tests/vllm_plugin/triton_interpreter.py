"""Runs a module with Triton's interpreter, so that vLLM's kernels for a GPU run on a CPU.

PYTHON -m tests.vllm_plugin.triton_interpreter MODULE
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib import import_module
from types import SimpleNamespace


def main() -> None:
    """Run the module that is named."""
    os.environ["TRITON_INTERPRET"] = "1"
    backends = import_module("triton.backends").backends
    if "cpu" not in backends:  # vLLM takes Triton only if some driver is active
        backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))
    runpy.run_module(sys.argv[1], run_name="__main__")


if __name__ == "__main__":
    main()
