"""The pipes to a program: transfers at any pace, and no waiting without a limit."""

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
    """A run whose other side is a thread, which gets the four descriptors and its end of the control socket."""
    ours, theirs = socket.socketpair()

    def other() -> None:
        _, descriptors, _, _ = socket.recv_fds(theirs, 1, 4)
        program(descriptors, theirs)

    thread = threading.Thread(target=other)
    pipes = Pipes(ours, bytearray(), stdin)
    thread.start()
    try:
        pipes.send()
        yield pipes
    finally:
        pipes.close()
        ours.close()
        thread.join()
        theirs.close()


def close_all(descriptors: list[int]) -> None:
    for number in descriptors:
        os.close(number)


def test_three_outputs_and_a_report() -> None:
    def program(descriptors: list[int], control: socket.socket) -> None:
        for number, text in zip(descriptors[1:], (b"out", b"err", b"result"), strict=True):
            os.write(number, text)
        close_all(descriptors)
        control.sendall(b'{"code": 3}\n{"code": 4}\n')

    with run(program) as pipes:
        assert pipes.communicate(99, time.monotonic() + 5) == ""
        assert [bytes(data) for data in pipes.received] == [b"out", b"err", b"result"]
        assert pipes.report == {"code": 3}
        assert pipes._unread == b'{"code": 4}\n'


def test_a_large_stdin_is_written_as_it_is_read() -> None:
    data = os.urandom(1 << 20)
    received: list[bytes] = []

    def program(descriptors: list[int], control: socket.socket) -> None:
        while part := os.read(descriptors[0], 1 << 14):
            received.append(part)
        close_all(descriptors)
        control.sendall(b"{}\n")

    with run(program, data) as pipes:
        assert pipes.communicate(99, time.monotonic() + 5) == ""
    assert b"".join(received) == data


def test_a_program_may_leave_stdin_unread() -> None:
    def program(descriptors: list[int], control: socket.socket) -> None:
        close_all(descriptors)
        control.sendall(b"{}\n")

    with run(program, bytes(1 << 20)) as pipes:
        assert pipes.communicate(99, time.monotonic() + 5) == ""


def test_too_much_output_is_reported_before_the_program_ends() -> None:
    done = threading.Event()

    def program(descriptors: list[int], control: socket.socket) -> None:
        os.write(descriptors[1], b"x" * 1000)
        done.wait(5)
        close_all(descriptors)

    with run(program) as pipes:
        assert pipes.communicate(99, time.monotonic() + 5) == "output"
        done.set()


def test_waiting_has_a_deadline() -> None:
    done = threading.Event()

    def program(descriptors: list[int], control: socket.socket) -> None:
        done.wait(5)
        close_all(descriptors)

    with run(program) as pipes:
        assert pipes.communicate(99, time.monotonic() + 0.1) == "timeout"
        done.set()


def test_a_closed_control_socket_gives_no_report() -> None:
    def program(descriptors: list[int], control: socket.socket) -> None:
        close_all(descriptors)
        control.shutdown(socket.SHUT_RDWR)

    with run(program) as pipes:
        assert pipes.communicate(99, time.monotonic() + 5) == ""
        assert pipes.report == {}
