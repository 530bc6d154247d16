"""What happens when the machine wants its processor back?

Spot machines and schedulers send SIGTERM and wait a while. A training then ends its step, saves, and ends with the
status of a process that was terminated; begun again it goes on from there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STATUS = 128 + signal.SIGTERM
"""What a shell shows for a process that SIGTERM ended."""


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM ends nothing; the function says whether one came. Only the first thread of a process sees any."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    earlier = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, earlier)
