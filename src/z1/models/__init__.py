"""The models in the package: z1-tiny, and long-tiny to compare it with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SHIPPED, LONG = "z1-tiny", "long-tiny"
"""The default model, and the one that was trained on long trajectories."""


def shipped(name: str = SHIPPED) -> Path:
    """The folder of a model in the package."""
    return Path(str(files("z1") / "models" / name))
