"""Progress on stderr: bars on a terminal, else a log line with stage, done/total, rate and ETA every 30 seconds."""

from __future__ import annotations

import sys
import threading
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

    The rate is that of this process: work of an earlier one is not counted. A total of 0 means that it is not known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = _stderr(), clock
        self._stage, self._note = "", ""
        self._done, self._total = 0, 0
        self._first: int | None = None
        self._started = self._logged = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="z1-progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def start(self, stage: str, total: int) -> None:
        """Start a stage, or set its total."""
        if (stage, total) != (self._stage, self._total):
            self._stage, self._total, self._first, self._note = stage, total, None, ""
            self._done, self._started, self._logged = 0, self._clock(), self._clock()

    def update(self, done: int, note: str = "") -> None:
        """Set how far the stage is."""
        if self._first is None:
            self._first = done
        self._done, self._note = done, note
        self.log_if_due()

    def finish(self, note: str) -> None:
        """Log the stage's result."""
        self._log(note)
        self._stage = ""

    def log_if_due(self) -> None:
        """Log how far the stage is, if the last line is 30 seconds old."""
        now = self._clock()
        if self._stage and now - self._logged >= LOG_SECONDS:
            self._logged = now
            self._log(", ".join(filter(None, (self._count(), self._rate(now), self._note))))

    def _count(self) -> str:
        return f"{self._done:,}/{self._total:,}" if self._total else f"{self._done:,}"

    def _rate(self, now: float) -> str:
        rate = (self._done - (self._first or 0)) / (now - self._started)
        if rate <= 0:
            return f"running for {_clock_time(now - self._started)}"
        eta = f"ETA {_clock_time((self._total - self._done) / rate)}" if self._total else "ETA unknown"
        return f"{rate:,.3g}/s, {eta}"

    def _watch(self) -> None:
        """Log stages that report nothing for a long time."""
        while not self._stopped.wait(LOG_SECONDS / 10):
            self.log_if_due()

    def _log(self, text: str) -> None:
        self._console.print(f"{self._stage:<9} {text}", markup=False)


def _stderr() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
