"""Progress on stderr: bars on a terminal, else a log line with stage, done/total, rate and ETA every 30 seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from z1 import pipeline

LOG_SECONDS = 30.0


def show_progress() -> AbstractContextManager[pipeline.ProgressReporter]:
    """A reporter of progress: silent in all but the first of several processes that train together."""
    from z1 import pipeline

    if pipeline.process_rank()[0]:
        return nullcontext(pipeline.NoProgress())
    return ProgressBars() if sys.stderr.isatty() else ProgressLog()


class ProgressBars:
    """A `pipeline.ProgressReporter` that draws a bar for the running stage, and prints a line for a finished one."""

    def __init__(self) -> None:
        self._console = _stderr()
        bar = (TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
        times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._progress = Progress(*bar, *times, console=self._console, transient=True)
        self._task = self._progress.add_task("", total=None, note="", visible=False)
        self._stage = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, stage: str, total: int) -> None:
        """Start the stage's bar, or set its total."""
        self._stage = stage
        self._progress.reset(self._task, total=total, description=stage, note="", visible=True)

    def update(self, done: int, note: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, note=note)

    def finish(self, note: str) -> None:
        """Replace the bar by a line."""
        self._progress.update(self._task, visible=False)
        self._console.print(f"{self._stage:<9} {note}", markup=False)


class ProgressLog:
    """A `pipeline.ProgressReporter` that logs a line every 30 seconds by `clock`, and one for each finished stage.

    The rate is that of this process: work that an earlier one did is not counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = _stderr(), clock
        self._stage, self._total = "", 0
        self._started = self._logged = 0.0
        self._first: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, stage: str, total: int) -> None:
        """Start a stage, or set its total."""
        self._stage, self._total, self._first = stage, total, None
        self._started = self._logged = self._clock()

    def update(self, done: int, note: str = "") -> None:
        """Log how far the stage is, if the last line is old enough."""
        now = self._clock()
        if self._first is None:
            self._first = done
        if now - self._logged < LOG_SECONDS:
            return
        self._logged = now
        rate = (done - self._first) / (now - self._started)
        eta = f"{rate:,.3g}/s, ETA {_clock_time((self._total - done) / rate)}" if rate > 0 else "ETA unknown"
        self._log(f"{done:,}/{self._total:,}, {eta}{', ' * bool(note)}{note}")

    def finish(self, note: str) -> None:
        """Log the stage's result."""
        self._log(note)

    def _log(self, text: str) -> None:
        self._console.print(f"{self._stage:<9} {text}", markup=False)


def _stderr() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
