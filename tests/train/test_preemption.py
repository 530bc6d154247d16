"""SIGTERM is caught inside the block, and the previous handler is restored."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from z1.train.preemption import STATUS, catch_sigterm


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could answer")
def test_sigterm_is_caught_inside_and_the_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with catch_sigterm() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before
    assert STATUS == 143


def test_in_another_thread_nothing_is_caught() -> None:
    seen: list[bool] = []

    def inside() -> None:
        with catch_sigterm() as asked:
            seen.append(asked())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [False]
