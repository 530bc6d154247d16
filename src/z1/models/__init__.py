"""The models in the package: z1-tiny, long-tiny to compare it with, and the place of z1-smol, an adapter."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SHIPPED, LONG = "z1-tiny", "long-tiny"
"""The default model, and the one that was trained on long trajectories."""

NAMED = {"tiny": SHIPPED, "smol": "z1-smol"}
"""Short names of models, for `--model`."""

EXAMPLES = (
    "print(3 + 4)\n",
    "a = 5\nb = a - 2\nc = b + 4\nprint(c)\n",
    "v = [3, 1, 4]\ns = 1\nfor x in v:\n    if x > 2:\n        s = s + x\nprint(s)\n",
)
"""Programs to show z1-tiny with, easiest first."""

SMOL_EXAMPLES = (
    "What does this Python program print?\n\n```python\nprint(7 + 5)\n```",
    "What does this Python program print?\n\n```python\nn = 4\nfor i in range(3):\n    n += i\nprint(n)\n```",
    "Tom has 3 boxes with 6 pens in each. He gives 4 pens to Ana. How many pens does Tom have now?",
)
"""Questions to show z1-smol with."""


def shipped(name: str = SHIPPED) -> Path:
    """The folder of a model in the package."""
    return Path(str(files("z1") / "models" / name))
