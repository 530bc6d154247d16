"""What can this machine do?

Each line is a fact and, where something is missing, what to do about it. Nothing is changed and nothing is loaded that
could fail; torch alone is imported, to ask how it would compute.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path


def facts() -> Iterator[tuple[str, str]]:
    """Pairs of (what, finding), in the order in which a person reads them."""
    yield "z1", f"{_version('z1')} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield "threads", f"{_threads()} of {os.cpu_count()} processors may be used"
    yield "torch", _torch()
    yield "transformers", _version("transformers")
    yield "shipped model", _shipped()
    yield "isolation", _isolation()
    yield "engine scripted", "ready"
    yield (
        "engine local",
        "ready" if find_spec("torch") and find_spec("transformers") else "no torch: pip install z1 again",
    )


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return f"not installed: pip install {package}"


def _torch() -> str:
    if not find_spec("torch"):
        return "not installed: run make setup"
    import torch

    device = f"CUDA, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "CPU, float32"
    return f"{torch.__version__} on {device}, {torch.get_num_threads()} threads"


def _shipped() -> str:
    folder = Path(__file__).parent / "models" / "z1-tiny"
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return f"z1-tiny, {weights / 1e6:.1f} MB" if weights else "missing: z1 run tiny makes one"


def _isolation() -> str:
    if platform.system() != "Linux":
        return f"none on {platform.system()}: programs written by models are run on Linux only"
    limit = Path("/proc/sys/user/max_user_namespaces")
    spaces = limit.is_file() and int(limit.read_text()) > 0
    bubblewrap = shutil.which("bwrap") or "no bubblewrap (apt-get install bubblewrap)"
    return f"user namespaces {'on' if spaces else 'off'}, {bubblewrap}"
