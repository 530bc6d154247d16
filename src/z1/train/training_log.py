"""Training log: one line of `progress.jsonl` per step, and TensorBoard files in `tensorboard/` where it is installed.

They have loss, learning rate, gradient norm and throughput, and are in the run folder. TensorBoard comes with the extra
`z1[train]`. Steps that a kill undid appear twice in `progress.jsonl`, and the later line counts; TensorBoard drops the
earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from z1.runs import Log

PROGRESS = "progress.jsonl"


WriteMetrics = Callable[[int, Mapping[str, float]], None]
"""Logs the named values of a step; an empty mapping logs nothing."""


@contextmanager
def open_log(folder: Path, step: int, *, is_main: bool) -> Iterator[WriteMetrics]:
    """The log in `folder` for the steps after `step`; only the process that `is_main` writes."""
    if not is_main:
        yield lambda _step, _values: None
        return
    with Log(folder / PROGRESS) as log, _tensorboard(folder / "tensorboard", step) as board:

        def write(step: int, values: Mapping[str, float]) -> None:
            if values:
                log.add([{"step": step, **values}])
            for name, value in values.items() if board else ():
                board.add_scalar(f"train/{name}", value, step)

        yield write


def _tensorboard(folder: Path, step: int) -> AbstractContextManager[Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return nullcontext()
    return SummaryWriter(str(folder), purge_step=step + 1)
