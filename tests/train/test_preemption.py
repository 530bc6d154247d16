"""SIGTERM is a question inside, and an end outside."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from z1.train.preemption import STATUS, catch_sigterm


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could answer")
def test_inside_it_is_noticed_and_outside_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with catch_sigterm() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before
    assert STATUS == 143


def test_in_another_thread_nothing_is_asked_and_nothing_breaks() -> None:
    seen: list[bool] = []

    def inside() -> None:
        with catch_sigterm() as asked:
            seen.append(asked())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [False]
