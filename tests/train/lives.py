"""Trains one small model through many sudden deaths: `python -m tests.train.lives FOLDER`.

Torch is loaded once; each life is a fork of that process, ended by SIGKILL at a moment of its own. Prints, as a JSON
list, how each life ended (0, or minus the signal).
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
from tests.train.deaths import at_report, die
from z1.train.scratch.trainer import Progress, Trainer

EPOCHS = 6.5
"""About thirty steps, the last epoch in part."""


def trainer(**changes: object) -> Trainer:
    """The training that is killed here, and the one that is not."""
    return Trainer(small.model(), small.encoded(), small.train_settings(EPOCHS, **changes), small.SEED)


def live(folder: Path, report: Callable[[Progress], None]) -> None:
    trainer(checkpoint_seconds=0).run(folder, report, every=1)


def dies_after(steps: int) -> Callable[[Path], None]:
    """Dies when a step is made and not yet saved, `steps` after the one it began with."""

    def life(folder: Path) -> None:
        live(folder, at_report(steps, die))

    return life


def dies_while_it_saves(steps: int) -> Callable[[Path], None]:
    """Dies when half of its checkpoint is written."""

    def life(folder: Path) -> None:
        saved: list[Path] = []
        write = Path.write_bytes

        def half(path: Path, data: Any) -> int:
            saved.append(path)
            if len(saved) < steps:
                return write(path, data)
            write(path, data[: len(data) // 2])
            die()

        setattr(Path, "write_bytes", half)  # noqa: B010
        live(folder, lambda _progress: None)

    return life


def is_let_live(folder: Path) -> None:
    live(folder, lambda _progress: None)


def born(life: Callable[[Path], None], folder: Path) -> int:
    """The process id of a fork that does nothing but `life`."""
    child = os.fork()
    if child:
        return child
    try:
        life(folder)
    except BaseException:
        os._exit(1)
    os._exit(0)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    trainer()
    rng = Random(0)
    ends = []
    lives: list[Callable[[Path], None]] = [dies_while_it_saves(1), dies_after(1), dies_after(7), dies_while_it_saves(4)]
    for life in [*lives, dies_after(2), *[is_let_live] * 4]:
        child = born(life, folder)
        if life is is_let_live:
            time.sleep(rng.uniform(0.02, 0.3))
            os.kill(child, signal.SIGKILL)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    ends.append(os.waitstatus_to_exitcode(os.waitpid(born(is_let_live, folder), 0)[1]))
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
