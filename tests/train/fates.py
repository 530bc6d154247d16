"""Lets one small fine-tuning meet many fates: `python -m tests.train.fates FOLDER`.

Torch is loaded once; each life is a fork of that process, each process of a team another. Prints, as JSON, how each
life ended: 0, its status, or minus the signal.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from tests.train import tuned
from tests.train.deaths import at_report, die
from z1.errors import from_os_error
from z1.train import checkpoint, distributed
from z1.train.scratch.trainer import Progress
from z1.train.sft import trainer

Life = Callable[[Path], None]


def live(folder: Path, report: Callable[[Progress], None] = lambda _progress: None, **changes: object) -> None:
    trainer.finetune(tuned.recipe(**changes), tuned.corpus(str(folder.parent / "base")), folder, report)


def saves_each_step() -> None:
    """Clocks are never waited for: every look at this one is an hour later."""
    hours = iter(range(10**6))
    clock = {"monotonic": lambda: 3600.0 * next(hours), "process_time": lambda: 0.0}
    setattr(trainer, "time", type("Clock", (), clock))  # noqa: B010


def killed_after(steps: int) -> Life:
    """Dies at that step, which is saved."""

    def life(folder: Path) -> None:
        saves_each_step()
        live(folder, at_report(steps, die))

    return life


def killed_at(steps: int) -> Life:
    """Dies in the middle of that step, before its update."""

    def life(folder: Path) -> None:
        saves_each_step()
        update, left = torch.optim.AdamW.step, iter(range(steps))

        def step(*given: Any) -> Any:
            return update(*given) if next(left, None) is not None else die()

        setattr(torch.optim.AdamW, "step", step)  # noqa: B010
        live(folder)

    return life


def killed_while_it_saves(saves: int) -> Life:
    """Dies when half of that checkpoint is written."""

    def life(folder: Path) -> None:
        saves_each_step()
        save, left = getattr(checkpoint, "save_file"), iter(range(saves))  # noqa: B009

        def half(tensors: Any, path: Path) -> None:
            save(tensors, path)
            if next(left, None) is None:
                os.truncate(path, path.stat().st_size // 2)
                die()

        setattr(checkpoint, "save_file", half)  # noqa: B010
        live(folder)

    return life


def asked_to_end(steps: int) -> Life:
    """Gets SIGTERM after that step; no clock makes it save."""

    def life(folder: Path) -> None:
        def report(progress: Progress) -> None:
            if progress.step == steps:
                os.kill(os.getpid(), signal.SIGTERM)

        live(folder, report)

    return life


def without_room(steps: int) -> Life:
    """From that step on no file may be larger than a part of a checkpoint, as on a full disk."""

    def life(folder: Path) -> None:
        saves_each_step()
        small_disk = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            live(folder, at_report(steps, small_disk))
        except OSError as error:
            (folder / "said").write_text(str(from_os_error(error)), encoding="utf-8")
            raise SystemExit(from_os_error(error).exit_status) from None

    return life


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


def born(life: Life, folder: Path, **place: str) -> int:
    """The process id of a fork that does nothing but `life`."""
    child = os.fork()
    if child:
        return child
    os.environ.update(place)
    try:
        life(folder)
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def sharded(folder: Path) -> None:
    """A life that says what its model was, and what it was told."""
    kinds: list[str] = []
    shard, told = distributed.shard, list[float]()

    def watched(learner: Any, *given: Any, **more: Any) -> None:
        shard(learner, *given, **more)
        parts = [p for p in learner.parameters() if isinstance(p, DTensor) and p.to_local().numel() < p.numel()]
        kinds.append(f"{len(parts)} of {len(list(learner.parameters()))}")

    setattr(trainer, "shard", watched)  # noqa: B010
    live(folder, lambda progress: told.append(progress.loss))
    (folder / f"told-{os.environ.get('RANK', '0')}.json").write_text(json.dumps([kinds, told]), encoding="utf-8")


def together(life: Life, folder: Path, world: int) -> list[int]:
    """How the processes of a team ended."""
    place = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port())}
    children = [born(life, folder, RANK=str(rank), LOCAL_RANK=str(rank), **place) for rank in range(world)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    tuned.base(folder / "base")
    alone: dict[str, list[Life]] = {
        "whole": [live],
        "killed": [killed_while_it_saves(0), killed_after(3), killed_at(2), killed_while_it_saves(2), live],
        "ended": [asked_to_end(4), live],
        "full": [without_room(3), live],
    }
    ends = {
        name: [os.waitstatus_to_exitcode(os.waitpid(born(life, folder / name), 0)[1]) for life in lives]
        for name, lives in alone.items()
    }
    ends["two"] = together(sharded, folder / "two", 2)
    ends["two, then one"] = [*together(asked_to_end(4), folder / "fewer", 2), *together(sharded, folder / "fewer", 1)]
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
