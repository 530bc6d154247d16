"""SIGTERM as a request to stop: training finishes its step, saves and exits.

Spot machines and schedulers send SIGTERM and wait before they kill. Training exits with the status of a terminated
process; started again it resumes from the checkpoint.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STATUS = 128 + signal.SIGTERM
"""The exit status that a shell shows for a process ended by SIGTERM."""


@contextmanager
def catch_sigterm(then: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Catch SIGTERM inside the block and call `then`; yields a function that returns whether one arrived.

    Only the main thread of a process can catch signals; in other threads the function always returns False.
    """
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return

    def receive(*_: object) -> None:
        received.set()
        then()

    previous = signal.signal(signal.SIGTERM, receive)
    try:
        yield received.is_set
    finally:
        signal.signal(signal.SIGTERM, previous)
