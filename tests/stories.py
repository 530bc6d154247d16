"""The smallest run that is a whole story: what do tests of the door need?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MICRO = """
name = "micro"
seed = 3
[curate]
problems = 80
steps = [1, 6]
direct_up_to = 2
compact_up_to = 4
[model]
vocabulary = 320
hidden = 32
layers = 1
heads = 2
key_value_heads = 1
feed_forward = 32
context = 256
[train]
epochs = 1.0
batch_tokens = 1000
matrix_rate = 0.01
other_rate = 0.003
warmup_steps = 2
decay_share = 0.5
hint_share = 0.1
checkpoint_seconds = 1
[evaluate]
problems = 12
windows = [0, 4, 16]
answer = 8
concurrency = 8
[report]
title = "micro"
transcripts = 4
"""


def recipe(folder: Path, text: str = MICRO) -> Path:
    path = folder / "micro.toml"
    path.write_text(text, encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    source = Path(__file__).parent.parent / "src"
    return {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def z1(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "z1.cli", *map(str, arguments)]
    settings = {"capture_output": True, "text": True, "timeout": 110, "env": environment(), **options}
    return subprocess.run(command, check=False, **settings)  # type: ignore[call-overload,no-any-return]
