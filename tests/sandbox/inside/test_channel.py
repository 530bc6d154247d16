"""Messages over a socket: whole ones, and what a hostile end may send."""

from __future__ import annotations

import socket

import pytest

from z1.sandbox.inside.channel import Channel


def test_messages_arrive_in_order() -> None:
    left, right = socket.socketpair()
    with left, right, Channel(left) as sender, Channel(right) as receiver:
        for message in ({"a": 1}, {"b": ["\ud800", None]}, {}):
            sender.send(message)
        assert [receiver.receive() for _ in range(3)] == [{"a": 1}, {"b": ["\ud800", None]}, {}]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", EOFError),
        (b"12", EOFError),
        (b"9\n{}", EOFError),
        (b"x\n{}", ValueError),
        (b"-1\n{}", ValueError),
        (b"99999999999999\n{}", ValueError),
        (b"2\n[]", ValueError),
        (b"1\n{", ValueError),
        (b"200000\n" + b"[" * 200_000, RecursionError),
    ],
)
def test_everything_else_is_an_exception(sent: bytes, error: type[Exception]) -> None:
    left, right = socket.socketpair()
    with left:
        left.sendall(sent)
    with right, Channel(right) as receiver, pytest.raises(error):
        receiver.receive()
