"""`z1 doctor`: what this machine can do, which extras are installed, and how to install the others.

Nothing is changed. Of the heavy libraries only torch is imported, for its device. With a model it is that model's
checkup (`model_checkup.py`).
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from z1.cli.options import AsJson, ProfileName, print_json, print_line
from z1.errors import UserError

app = typer.Typer(add_completion=False)


Model = Annotated[
    str | None,
    typer.Argument(
        help="Model folder, GGUF file, hub id or package:NAME to check.", metavar="MODEL", show_default=False
    ),
]


@app.command()
def doctor(model: Model = None, profile: ProfileName = None, as_json: AsJson = False) -> None:
    """Print what this machine can do, and what each missing extra would bring; or check a model, with one reply."""
    if model is not None:
        _check_model(model, profile, as_json=as_json)
        return
    if profile is not None:
        raise UserError("--profile", "no MODEL", "name the model to check, or omit --profile")
    found, extras = facts(), extra_states()
    if as_json:
        print_json({**found, "extras": extras})
        return
    lines = {**found, **{f"extra {one['name']}": _extra_line(one) for one in extras}}
    width = max(len(name) for name in lines)
    for name, finding in lines.items():
        print_line(f"{name:<{width}}  {finding}")


def _check_model(model: str, profile: str | None, *, as_json: bool) -> None:
    from rich.console import Console

    from z1.cli.model_checkup import check_model, print_checkup

    checkup = check_model(model, profile)
    if as_json:
        print_json(checkup.as_json())
    else:
        print_checkup(Console(highlight=False, soft_wrap=True), checkup)
    if checkup.problems:
        raise typer.Exit(1)


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
