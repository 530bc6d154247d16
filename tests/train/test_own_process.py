"""A training in a process of its own: result, errors and progress arrive, and it ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from z1.errors import Fault, UserError
from z1.train import own_process
from z1.train.preemption import STATUS, catch_sigterm


class Recorded:
    """The calls of a reporter of progress."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def start(self, stage: str, total: int) -> None:
        self.calls.append(("start", stage, total))

    def update(self, done: int, note: str = "") -> None:
        self.calls.append(("update", done, note))

    def finish(self, note: str) -> None:
        self.calls.append(("finish", note))


def trains(name: str, progress: Any, *, steps: int) -> tuple[str, int]:
    progress.start("train", steps)
    for step in range(steps):
        progress.update(step, f"loss {step}")
    progress.finish("done")
    return name, os.getpid()


def refuses(progress: Any) -> None:
    raise UserError("base x", "no such model", "choose another")


def fails(progress: Any) -> None:
    raise ZeroDivisionError("a loss of nothing")


def is_killed(progress: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stops_its_parent(progress: Any) -> None:
    """A training whose parent gets SIGTERM: it ends as a training does."""
    with catch_sigterm() as should_stop:
        os.kill(os.getppid(), signal.SIGTERM)
        until = time.monotonic() + 30
        while not should_stop():
            assert time.monotonic() < until
            time.sleep(0.01)
    progress.finish("saved")
    raise SystemExit(STATUS)


def test_result_and_progress_are_those_of_another_process() -> None:
    progress = Recorded()
    name, process = own_process.call(trains, "tiny", progress=progress, steps=2)
    assert name == "tiny" and process != os.getpid()
    assert progress.calls == [
        ("start", "train", 2),
        ("update", 0, "loss 0"),
        ("update", 1, "loss 1"),
        ("finish", "done"),
    ]


def test_its_errors_arrive() -> None:
    with pytest.raises(UserError, match=r"^base x: got no such model; choose another$"):
        own_process.call(refuses, progress=Recorded())
    with pytest.raises(Fault, match="ended with status 1; run the same command again"):
        own_process.call(fails, progress=Recorded())
    with pytest.raises(Fault, match="was killed by SIGKILL; run the same command again to continue"):
        own_process.call(is_killed, progress=Recorded())


def stops_its_parent_before_it_trains(progress: Any) -> None:
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(30)


def stops_its_parent_at_its_end(progress: Any) -> None:
    with catch_sigterm() as should_stop:
        os.kill(os.getppid(), signal.SIGTERM)
        while not should_stop():
            time.sleep(0.01)


@pytest.mark.parametrize("train", [stops_its_parent_before_it_trains, stops_its_parent_at_its_end])
def test_sigterm_ends_the_command_whatever_the_training_does(train: Callable[[Any], None]) -> None:
    with pytest.raises(SystemExit) as ended:
        own_process.call(train, progress=Recorded())
    assert ended.value.code == STATUS


def test_sigterm_is_passed_on_and_the_training_saves() -> None:
    progress, before = Recorded(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        own_process.call(stops_its_parent, progress=progress)
    assert ended.value.code == STATUS and progress.calls == [("finish", "saved")]
    assert signal.getsignal(signal.SIGTERM) == before


def lasts(progress: Any) -> None:
    progress.finish(str(os.getpid()))
    while True:
        progress.update(0)
        time.sleep(0.01)


class Printed(Recorded):
    """Prints what finishes."""

    def finish(self, note: str) -> None:
        print(note, flush=True)


def test_it_ends_with_a_parent_that_is_killed() -> None:
    script = (
        "from tests.train.test_own_process import *\n"
        "if __name__ == '__main__': own_process.call(lasts, progress=Printed())"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < until
        time.sleep(0.02)


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    try:
        return "zombie" not in status.read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
