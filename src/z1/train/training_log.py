"""Where can somebody watch a training?

In the run folder: a line of `progress.jsonl` a step, and TensorBoard's own files in `tensorboard/` where that library
is installed (`pip install z1[train]`). Steps that a kill undid are there twice in the lines, the later ones count;
TensorBoard is told to forget them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from z1.runs import Log

PROGRESS = "progress.jsonl"


Draw = Callable[[int, Mapping[str, float]], None]
"""Puts the named values of a step on the curves; no values draw nothing."""


@contextmanager
def curves(folder: Path, begun: int, *, writes: bool) -> Iterator[Draw]:
    """Curves in `folder` for the steps after `begun`, in the process that `writes`."""
    if not writes:
        yield lambda _step, _values: None
        return
    with Log(folder / PROGRESS) as log, _board(folder / "tensorboard", begun) as board:

        def draw(step: int, values: Mapping[str, float]) -> None:
            if values:
                log.add([{"step": step, **values}])
            for name, value in values.items() if board else ():
                board.add_scalar(f"train/{name}", value, step)

        yield draw


def _board(folder: Path, begun: int) -> AbstractContextManager[Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return nullcontext()
    return SummaryWriter(str(folder), purge_step=begun + 1)
