"""Is the filter a program that Linux accepts, and does it refuse what it should and nothing else?"""

from __future__ import annotations

import struct

import pytest

from z1.sandbox import Job, Sandbox
from z1.sandbox.inside import seccomp as sieve

ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


def verdict(program: bytes, number: int, first: int = 0, architecture: int = 0xC000003E) -> int:
    """What the filter says of one call, by the few instructions that it uses."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, first, 0, 0, 0, 0, 0)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, held = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == sieve.LOAD:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == sieve.RETURN:
            return int(value)
        else:
            yes = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
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


@pytest.mark.parametrize(("name", "number", "first", "wanted"), ROWS, ids=[row[0] for row in ROWS])
def test_what_it_says_of(name: str, number: int, first: int, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "MACHINE", "x86_64")
    assert verdict(sieve.program(sockets=False), number, first) == wanted


def test_another_architecture_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "MACHINE", "x86_64")
    assert verdict(sieve.program(sockets=False), 0, architecture=0x40000003) == KILLED


def test_sockets_by_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, number, architecture in (("x86_64", 41, 0xC000003E), ("aarch64", 198, 0xC00000B7)):
        monkeypatch.setattr(sieve, "MACHINE", machine)
        assert verdict(sieve.program(sockets=False), number, architecture=architecture) == REFUSED
        assert verdict(sieve.program(sockets=True), number, architecture=architecture) == ALLOWED


def test_an_unknown_machine_has_no_filter_and_the_layers_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "MACHINE", "riscv64")
    assert sieve.program(sockets=False) == b""


def test_linux_accepts_it(sandbox: Sandbox) -> None:
    assert sandbox.layers["filter"] is True
    said = sandbox.run(
        Job("program", "print([l for l in open('/proc/self/status') if l.startswith('Seccomp:')][0])")
    ).stdout
    assert said.split() == [b"Seccomp:", b"2"]
