"""Every step is logged to the run folder and to TensorBoard, by the main process only."""

from __future__ import annotations

import builtins
import time
from pathlib import Path
from typing import Any

import pytest

from z1.runs import read_lines
from z1.train.training_log import PROGRESS, open_log


def logged(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / PROGRESS, dict)


def test_every_step_is_a_line(tmp_path: Path) -> None:
    with open_log(tmp_path, 0, is_main=True) as write:
        write(0, {})
        write(1, {"loss": 2.0, "rate": 0.1})
    assert logged(tmp_path) == [{"step": 1, "loss": 2.0, "rate": 0.1}]


def test_tensorboard_drops_steps_that_a_kill_undid(tmp_path: Path) -> None:
    board = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError)
    for start, values in [(0, [3.0, 2.0, 9.0]), (2, [1.0])]:
        with open_log(tmp_path, start, is_main=True) as write:
            for step, value in enumerate(values, start + 1):
                write(step, {"loss": value})
        time.sleep(1.05 - time.time() % 1)  # files are read in the order of their names, which have the second
    seen = board.EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in seen] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_without_tensorboard_lines_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with open_log(tmp_path, 0, is_main=True) as write:
        write(1, {"loss": 2.0})
    assert len(logged(tmp_path)) == 1
    assert not (tmp_path / "tensorboard").exists()


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    with open_log(tmp_path, 0, is_main=False) as write:
        write(1, {"loss": 2.0})
    assert not list(tmp_path.iterdir())
