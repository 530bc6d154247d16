"""Progress without a terminal is a log line every 30 seconds, by a clock that the test sets."""

from __future__ import annotations

import threading

import pytest

from z1 import pipeline
from z1.cli import progress


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_line_every_30_seconds_with_rate_and_eta(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    log = progress.ProgressLog(clock)
    log.start("train", 7_210)
    for second in range(101):
        clock.now = 100.0 + second
        log.update(10 + 20 * second, "loss 2.5000")
    log.finish("model in runs/x")
    assert capsys.readouterr().err.splitlines() == [
        "train     610/7,210, 20/s, ETA 0:05:30, loss 2.5000",
        "train     1,210/7,210, 20/s, ETA 0:05:00, loss 2.5000",
        "train     1,810/7,210, 20/s, ETA 0:04:30, loss 2.5000",
        "train     model in runs/x",
    ]


def test_work_of_an_earlier_process_does_not_count_for_the_rate(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    log = progress.ProgressLog(clock)
    log.start("evaluate", 1_000)
    log.update(900)
    clock.now += 40
    log.update(910)
    assert capsys.readouterr().err == "evaluate  910/1,000, 0.25/s, ETA 0:06:00\n"


def test_without_a_rate_or_a_total_there_is_no_eta(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    log = progress.ProgressLog(clock)
    log.start("curate", 10)
    clock.now += 31
    log.update(0)
    log.start("filter", 0)
    log.update(0)
    clock.now += 100
    log.update(2_000, "candidates")
    assert capsys.readouterr().err.splitlines() == [
        "curate    0/10, running for 0:00:31",
        "filter    2,000, 20/s, ETA unknown, candidates",
    ]


def test_a_stage_that_reports_nothing_is_logged_and_a_finished_one_is_not(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    log = progress.ProgressLog(clock)
    log.start("encode", 1)
    for _ in range(7):
        clock.now += 10
        log.log_if_due()
    log.finish("done")
    clock.now += 100
    log.log_if_due()
    assert capsys.readouterr().err.splitlines() == [
        "encode    0/1, running for 0:00:30",
        "encode    0/1, running for 0:01:00",
        "encode    done",
    ]


def test_a_thread_watches_while_the_log_is_open(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    seen = threading.Event()
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.01)
    monkeypatch.setattr(progress.ProgressLog, "log_if_due", lambda _: seen.set())
    with progress.ProgressLog(clock):
        assert seen.wait(60)
    assert "z1-progress" not in {thread.name for thread in threading.enumerate()}


def test_a_terminal_gets_bars_and_other_ranks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress.show_progress(), progress.ProgressLog)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(progress.show_progress(), progress.ProgressBars)
    monkeypatch.setenv("RANK", "1")
    with progress.show_progress() as reporter:
        assert isinstance(reporter, pipeline.NoProgress)


def test_bars_leave_a_line_for_a_finished_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.ProgressBars() as bars:
        bars.start("curate", 10)
        bars.update(5, "half")
        bars.finish("all done")
    assert "curate    all done" in capsys.readouterr().err
