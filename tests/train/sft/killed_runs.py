"""Interrupt one small fine-tuning in many ways: `python -m tests.train.sft.killed_runs FOLDER`.

Torch is loaded once; every process of every run is a fork. Prints the exit status of each run as JSON: 0, its status,
or minus the signal.
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

from tests.train import small_sft
from tests.train.kills import at_report, kill_self
from z1.errors import from_os_error
from z1.train import checkpoint, distributed
from z1.train.progress import Progress
from z1.train.sft import trainer

Run = Callable[[Path], None]


def run_training(folder: Path, report: Callable[[Progress], None] = lambda _progress: None, **changes: object) -> None:
    trainer.finetune(small_sft.recipe(**changes), small_sft.training_set(str(folder.parent / "base")), folder, report)


def save_each_step() -> None:
    """Replace the clock by one that advances an hour per call, so that every step is saved."""
    hours = iter(range(10**6))
    clock = {"monotonic": lambda: 3600.0 * next(hours), "process_time": lambda: 0.0}
    setattr(trainer, "time", type("Clock", (), clock))  # noqa: B010


def kill_after(steps: int) -> Run:
    """A run that dies at that step, which is saved."""

    def run(folder: Path) -> None:
        save_each_step()
        run_training(folder, at_report(steps, kill_self))

    return run


def kill_during(steps: int) -> Run:
    """A run that dies during that step, before its update."""

    def run(folder: Path) -> None:
        save_each_step()
        update, left = torch.optim.AdamW.step, iter(range(steps))

        def step(*given: Any) -> Any:
            return update(*given) if next(left, None) is not None else kill_self()

        setattr(torch.optim.AdamW, "step", step)  # noqa: B010
        run_training(folder)

    return run


def kill_while_saving(saves: int) -> Run:
    """A run that dies when half of that checkpoint is written."""

    def run(folder: Path) -> None:
        save_each_step()
        save, left = getattr(checkpoint, "save_file"), iter(range(saves))  # noqa: B009

        def half(tensors: Any, path: Path) -> None:
            save(tensors, path)
            if next(left, None) is None:
                os.truncate(path, path.stat().st_size // 2)
                kill_self()

        setattr(checkpoint, "save_file", half)  # noqa: B010
        run_training(folder)

    return run


def terminate_after(steps: int) -> Run:
    """A run that gets SIGTERM after that step; no clock makes it save."""

    def run(folder: Path) -> None:
        def report(progress: Progress) -> None:
            if progress.step == steps:
                os.kill(os.getpid(), signal.SIGTERM)

        run_training(folder, report)

    return run


def fill_disk_after(steps: int) -> Run:
    """A run whose disk is full from that step on: no file may be as large as a part of a checkpoint."""

    def run(folder: Path) -> None:
        save_each_step()
        small_disk = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            run_training(folder, at_report(steps, small_disk))
        except OSError as error:
            (folder / "message").write_text(str(from_os_error(error)), encoding="utf-8")
            raise SystemExit(from_os_error(error).exit_status) from None

    return run


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


def fork(run: Run, folder: Path, **variables: str) -> int:
    """Fork a process that runs `run`; returns its process id."""
    child = os.fork()
    if child:
        return child
    os.environ.update(variables)
    try:
        run(folder)
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def record_sharding(folder: Path) -> None:
    """A run that records how its model was sharded, and the reported losses."""
    kinds: list[str] = []
    shard, losses = distributed.shard, list[float]()

    def recorded(loss_model: Any, *args: Any, **kwargs: Any) -> Any:
        compute = shard(loss_model, *args, **kwargs)
        parts = [p for p in loss_model.parameters() if isinstance(p, DTensor) and p.to_local().numel() < p.numel()]
        kinds.append(f"{len(parts)} of {len(list(loss_model.parameters()))}")
        return compute

    setattr(trainer, "shard", recorded)  # noqa: B010
    run_training(folder, lambda progress: losses.append(progress.loss))
    (folder / f"losses-{os.environ.get('RANK', '0')}.json").write_text(json.dumps([kinds, losses]), encoding="utf-8")


def run_processes(run: Run, folder: Path, world_size: int) -> list[int]:
    """Exit statuses of several processes that train together."""
    variables = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port())}
    children = [fork(run, folder, RANK=str(rank), LOCAL_RANK=str(rank), **variables) for rank in range(world_size)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    small_sft.save_base(folder / "base")
    single: dict[str, list[Run]] = {
        "whole": [run_training],
        "killed": [kill_while_saving(0), kill_after(3), kill_during(2), kill_while_saving(2), run_training],
        "ended": [terminate_after(4), run_training],
        "full": [fill_disk_after(3), run_training],
    }
    ends = {
        name: [os.waitstatus_to_exitcode(os.waitpid(fork(run, folder / name), 0)[1]) for run in runs]
        for name, runs in single.items()
    }
    ends["two"] = run_processes(record_sharding, folder / "two", 2)
    ends["two, then one"] = [
        *run_processes(terminate_after(4), folder / "fewer", 2),
        *run_processes(record_sharding, folder / "fewer", 1),
    ]
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
