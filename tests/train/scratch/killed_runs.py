"""Train one small model through many kills: `python -m tests.train.scratch.killed_runs FOLDER`.

Torch is loaded once; each run is a fork of that process, ended by SIGKILL at a different point. Prints the exit status
of each run (0, or minus the signal) as a JSON list.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from tests.train import small
from tests.train.kills import at_report, kill_self
from z1.train.progress import Progress
from z1.train.scratch.trainer import Trainer

EPOCHS = 6.5
"""About thirty steps, the last epoch in part."""


def trainer(**changes: object) -> Trainer:
    """The training of the killed run and of the undisturbed one."""
    return Trainer(small.model(), small.encoded(), small.train_settings(EPOCHS, **changes), small.SEED)


def run_training(folder: Path, report: Callable[[Progress], None]) -> None:
    trainer(checkpoint_seconds=0).run(folder, report, every=1)


def kill_after(steps: int) -> Callable[[Path], None]:
    """A run that dies after `steps` steps, the last of them not saved."""

    def run(folder: Path) -> None:
        run_training(folder, at_report(steps, kill_self))

    return run


def kill_while_saving(steps: int) -> Callable[[Path], None]:
    """A run that dies when half of a checkpoint is written."""

    def run(folder: Path) -> None:
        saved: list[Path] = []
        write = Path.write_bytes

        def half(path: Path, data: Any) -> int:
            saved.append(path)
            if len(saved) < steps:
                return write(path, data)
            write(path, data[: len(data) // 2])
            kill_self()

        setattr(Path, "write_bytes", half)  # noqa: B010
        run_training(folder, lambda _progress: None)

    return run


def run_to_end(folder: Path) -> None:
    run_training(folder, lambda _progress: None)


def fork(run: Callable[[Path], None], folder: Path) -> int:
    """Fork a process that runs `run`; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        run(folder)
    except BaseException:
        os._exit(1)
    os._exit(0)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    trainer()
    rng = Random(0)
    ends = []
    runs: list[Callable[[Path], None]] = [kill_while_saving(1), kill_after(1), kill_after(7), kill_while_saving(4)]
    for run in [*runs, kill_after(2), *[run_to_end] * 4]:
        child = fork(run, folder)
        if run is run_to_end:
            time.sleep(rng.uniform(0.02, 0.3))
            os.kill(child, signal.SIGKILL)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    ends.append(os.waitstatus_to_exitcode(os.waitpid(fork(run_to_end, folder), 0)[1]))
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
