"""The models in the package: z1-tiny, long-tiny to compare it with, and z1-smol, an adapter."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SHIPPED, LONG, SMOL = "z1-tiny", "long-tiny", "z1-smol"
"""The default model, the one that was trained on long trajectories, and the adapter."""

NAMED = {"tiny": SHIPPED, "smol": SMOL, SHIPPED: SHIPPED, LONG: LONG, SMOL: SMOL}
"""The folder of each name of a model in the package, for `--model`."""

EXAMPLES = (
    "print(3 + 4)\n",
    "a = 5\nb = a - 2\nc = b + 4\nprint(c)\n",
    "v = [3, 1, 4]\ns = 1\nfor x in v:\n    if x > 2:\n        s = s + x\nprint(s)\n",
)
"""Programs to show z1-tiny with, easiest first."""

SMOL_EXAMPLES = (
    "What does this Python program print?\n\n```python\nprint(7 + 5)\n```",
    "What does this Python program print?\n\n```python\na = 3\nb = a + 4\nprint(b * 2)\n```",
    "Tom has 5 pens. He buys 3 boxes with 6 pens in each. He gives 4 of them to Ana. How many pens does Tom have now?",
)
"""Questions to show z1-smol with, which it answers rightly; it is wrong on many others."""


def shipped(name: str = SHIPPED) -> Path:
    """The folder of a model in the package."""
    return Path(str(files("z1") / "models" / name))
