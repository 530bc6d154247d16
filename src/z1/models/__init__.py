"""The models in the package: z1-tiny, and long-tiny to compare it with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SHIPPED, LONG = "z1-tiny", "long-tiny"
"""The default model, and the one that was trained on long trajectories."""

EXAMPLES = (
    "print(3 + 4)\n",
    "a = 5\nb = a - 2\nc = b + 4\nprint(c)\n",
    "v = [3, 1, 4]\ns = 1\nfor x in v:\n    if x > 2:\n        s = s + x\nprint(s)\n",
)
"""Programs to show z1-tiny with, easiest first."""


def shipped(name: str = SHIPPED) -> Path:
    """The folder of a model in the package."""
    return Path(str(files("z1") / "models" / name))
