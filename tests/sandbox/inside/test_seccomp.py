"""The seccomp filter: accepted by Linux, and which calls it refuses."""

from __future__ import annotations

import struct

import pytest

from z1.sandbox import Job, Sandbox
from z1.sandbox.inside import seccomp

ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


def verdict(program: bytes, number: int, first: int = 0, architecture: int = 0xC000003E) -> int:
    """The result of the filter for one call, by interpreting the few instructions that it uses."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, first, 0, 0, 0, 0, 0)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, loaded = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == seccomp.LOAD:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.RETURN:
            return int(value)
        else:
            yes = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += then if yes else otherwise


ROWS = [
    ("read", 0, 0, ALLOWED),
    ("openat", 257, 0, ALLOWED),
    ("ptrace", 101, 0, REFUSED),
    ("mount", 165, 0, REFUSED),
    ("io_uring_setup", 425, 0, REFUSED),
    ("clone, as fork does it", 56, 0x01200011, ALLOWED),
    ("clone into a user namespace", 56, 0x10000011, REFUSED),
    ("clone into a time namespace's number is a signal's", 56, 0x80, ALLOWED),
    ("clone3", 435, 0, UNKNOWN),
    ("limits of oneself", 302, 0, ALLOWED),
    ("limits of another", 302, 1, REFUSED),
    ("read by its number of x32", 0x40000000, 0, REFUSED),
]


@pytest.mark.parametrize(("name", "number", "first", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_the_result_for_a_call(
    name: str, number: int, first: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp, "MACHINE", "x86_64")
    assert verdict(seccomp.build_filter(sockets=False), number, first) == expected


def test_another_architecture_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "MACHINE", "x86_64")
    assert verdict(seccomp.build_filter(sockets=False), 0, architecture=0x40000003) == KILLED


def test_sockets_are_allowed_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, number, architecture in (("x86_64", 41, 0xC000003E), ("aarch64", 198, 0xC00000B7)):
        monkeypatch.setattr(seccomp, "MACHINE", machine)
        assert verdict(seccomp.build_filter(sockets=False), number, architecture=architecture) == REFUSED
        assert verdict(seccomp.build_filter(sockets=True), number, architecture=architecture) == ALLOWED


def test_an_unknown_architecture_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "MACHINE", "riscv64")
    assert seccomp.build_filter(sockets=False) == b""


def test_linux_accepts_the_filter(sandbox: Sandbox) -> None:
    assert sandbox.layers["seccomp"] is True
    status = sandbox.run(
        Job("program", "print([l for l in open('/proc/self/status') if l.startswith('Seccomp:')][0])")
    ).stdout
    assert status.split() == [b"Seccomp:", b"2"]
