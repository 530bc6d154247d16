"""`z1 doctor`: what this machine can do, which extras are installed, and how to install the others.

Nothing is changed. Of the heavy libraries only torch is imported, for its device.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import typer

from z1.cli.options import AsJson, print_json, print_line

app = typer.Typer(add_completion=False)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print what this machine can do, and what each missing extra would bring."""
    found, extras = facts(), extra_states()
    if as_json:
        print_json({**found, "extras": extras})
        return
    lines = {**found, **{f"extra {one['name']}": _extra_line(one) for one in extras}}
    width = max(len(name) for name in lines)
    for name, finding in lines.items():
        print_line(f"{name:<{width}}  {finding}")


def facts() -> dict[str, str]:
    """Name and finding of each fact."""
    return {
        "z1": f"{_version('z1')} on Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        "processors": f"{_processors()} of {os.cpu_count()} may be used",
        "torch": _torch(),
        "transformers": _version("transformers"),
        "shipped model": _shipped_model(),
        "sandbox": _sandbox(),
    }


def extra_states() -> list[dict[str, Any]]:
    """Each extra: what it brings, whether it is installed, and if not which modules are missing and how to install."""
    from z1.cli.extras import EXTRAS
    from z1.errors import install_hint

    found = []
    for name, extra in EXTRAS.items():
        missing = extra.missing()
        state: dict[str, Any] = {"name": name, "brings": extra.brings, "is_installed": not missing}
        found.append({**state, **({"missing": missing, "install": install_hint(name)} if missing else {})})
    return found


def _extra_line(state: dict[str, Any]) -> str:
    if state["is_installed"]:
        return f"installed: {state['brings']}"
    return f"not installed ({', '.join(state['missing'])}): would bring {state['brings']}; {state['install']}"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed; install z1 again"


def _torch() -> str:
    if not find_spec("torch"):
        return "not installed; install z1 again"
    import torch

    device = f"CUDA, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "CPU, float32"
    return f"{torch.__version__} on {device}, {torch.get_num_threads()} threads"


def _shipped_model() -> str:
    from z1.models import SHIPPED, shipped

    size = sum(path.stat().st_size for path in shipped().glob("*.safetensors"))
    return f"{SHIPPED}, {size / 1e6:.1f} MB" if size else f"{SHIPPED} has no weights; install z1 again"


def _sandbox() -> str:
    """Start the sandbox, as grading does: it runs a first program."""
    from z1.errors import Z1Error
    from z1.sandbox import Sandbox

    try:
        with Sandbox() as sandbox:
            layers = ", ".join(f"{name} {value}" for name, value in sandbox.layers.items())
    except Z1Error as error:
        return f"not available: {error}"
    return f"available: ran a program ({layers})"
