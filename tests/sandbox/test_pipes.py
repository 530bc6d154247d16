"""Do bytes go both ways at any pace, and does nothing wait without a limit?"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from z1.sandbox.pipes import Pipes


@contextmanager
def run(program: Callable[[list[int], socket.socket], None], stdin: bytes = b"") -> Iterator[Pipes]:
    """A run whose other side is a thread: it gets the four descriptors and its end of the leash."""
    ours, theirs = socket.socketpair()

    def other() -> None:
        _, given, _, _ = socket.recv_fds(theirs, 1, 4)
        program(given, theirs)

    thread = threading.Thread(target=other)
    pipes = Pipes(ours, bytearray(), stdin)
    thread.start()
    try:
        pipes.hand_over()
        yield pipes
    finally:
        pipes.close()
        ours.close()
        thread.join()
        theirs.close()


def shut(given: list[int]) -> None:
    for number in given:
        os.close(number)


def test_three_outputs_and_a_report() -> None:
    def program(given: list[int], leash: socket.socket) -> None:
        for number, text in zip(given[1:], (b"out", b"err", b"result"), strict=True):
            os.write(number, text)
        shut(given)
        leash.sendall(b'{"code": 3}\n{"code": 4}\n')

    with run(program) as pipes:
        assert pipes.exchange(99, time.monotonic() + 5) == ""
        assert [bytes(one) for one in pipes.said] == [b"out", b"err", b"result"]
        assert pipes.report == {"code": 3}
        assert pipes._heard == b'{"code": 4}\n'


def test_a_great_stdin_is_fed_as_it_is_read() -> None:
    data = os.urandom(1 << 20)
    heard: list[bytes] = []

    def program(given: list[int], leash: socket.socket) -> None:
        while part := os.read(given[0], 1 << 14):
            heard.append(part)
        shut(given)
        leash.sendall(b"{}\n")

    with run(program, data) as pipes:
        assert pipes.exchange(99, time.monotonic() + 5) == ""
    assert b"".join(heard) == data


def test_nobody_reads_stdin() -> None:
    def program(given: list[int], leash: socket.socket) -> None:
        shut(given)
        leash.sendall(b"{}\n")

    with run(program, bytes(1 << 20)) as pipes:
        assert pipes.exchange(99, time.monotonic() + 5) == ""


def test_too_much_is_told_before_the_end() -> None:
    done = threading.Event()

    def program(given: list[int], leash: socket.socket) -> None:
        os.write(given[1], b"x" * 1000)
        done.wait(5)
        shut(given)

    with run(program) as pipes:
        assert pipes.exchange(99, time.monotonic() + 5) == "output"
        done.set()


def test_silence_has_a_limit() -> None:
    done = threading.Event()

    def program(given: list[int], leash: socket.socket) -> None:
        done.wait(5)
        shut(given)

    with run(program) as pipes:
        assert pipes.exchange(99, time.monotonic() + 0.1) == "silence"
        done.set()


def test_a_leash_that_is_cut_is_no_report() -> None:
    def program(given: list[int], leash: socket.socket) -> None:
        shut(given)
        leash.shutdown(socket.SHUT_RDWR)

    with run(program) as pipes:
        assert pipes.exchange(99, time.monotonic() + 5) == ""
        assert pipes.report == {}
