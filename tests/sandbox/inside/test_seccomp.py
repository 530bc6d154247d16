"""The seccomp filter: accepted by Linux, and which calls it refuses."""

from __future__ import annotations

import struct

import pytest

from z1.sandbox import Job, Sandbox
from z1.sandbox.inside import seccomp

ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


def verdict(program: bytes, number: int, *arguments: int, architecture: int = 0xC000003E) -> int:
    """The result of the filter for one call, by interpreting the few instructions that it uses."""
    given = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *given)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, loaded = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == seccomp.LOAD:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.AND:
            loaded &= value
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
    ("lists of mounts", 458, 0, REFUSED),
    ("scheduling of oneself", 144, 0, ALLOWED),
    ("scheduling of the supervisor", 144, 1, REFUSED),
    ("processors of the supervisor", 203, 1, REFUSED),
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
        allowed = seccomp.build_filter(sockets=True)
        for family in (1, 2, 10, 16):
            assert verdict(allowed, number, family, architecture=architecture) == ALLOWED
        for family in (0, 17, 40, 2 | 1 << 16):
            assert verdict(allowed, number, family, architecture=architecture) == REFUSED


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((0, 0, 5), ALLOWED), ((1, 0, 5), ALLOWED), ((0, 1, 5), REFUSED), ((1, 7, 5), REFUSED), ((2, 0, 5), REFUSED)],
)
def test_a_program_may_only_be_nice_itself(
    arguments: tuple[int, ...], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp, "MACHINE", "x86_64")
    assert verdict(seccomp.build_filter(sockets=False), 141, *arguments) == expected


GUARDED = [
    ("SIGKILL to the process", (62, 77, 9), KILLED),
    ("SIGKILL to its group", (62, -77, 9), KILLED),
    ("SIGKILL to the own group", (62, 0, 9), KILLED),
    ("SIGKILL to everything", (62, -1, 9), KILLED),
    ("SIGKILL to a child", (62, 78, 9), ALLOWED),
    ("SIGTERM to the process", (62, 77, 15), ALLOWED),
    ("SIGKILL to a thread", (200, 78, 9), KILLED),
    ("SIGKILL to a thread of a process", (234, 77, 78, 9), KILLED),
    ("SIGUSR1 to a thread of a process", (234, 77, 78, 10), ALLOWED),
    ("SIGKILL with a value", (129, 78, 9), KILLED),
    ("SIGKILL to a thread, with a value", (297, 77, 78, 9), KILLED),
    ("SIGKILL by a descriptor", (424, 5, 9), KILLED),
    ("SIGINT by a descriptor", (424, 5, 2), ALLOWED),
    ("SIGKILL when a descriptor is ready", (72, 5, 10, 9), REFUSED),
    ("a flag of a descriptor", (72, 5, 2, 9), ALLOWED),
    ("timers with a signal", (222,), REFUSED),
    ("a child whose end sends SIGKILL", (56, 0x01200009), REFUSED),
    ("a child whose end sends SIGCHLD", (56, 0x01200011), ALLOWED),
    ("the limit of CPU time", (160, 0), REFUSED),
    ("the limit of the stack", (160, 3), ALLOWED),
    ("the limit of CPU time, by prlimit", (302, 0, 0, 0x7F0000000010), REFUSED),
    ("the limit of CPU time, from an address that ends with zeros", (302, 0, 0, 1 << 32), REFUSED),
    ("asking for the limit of CPU time", (302, 0, 0, 0), ALLOWED),
    ("the limit of the stack, by prlimit", (302, 0, 3, 0x7F0000000010), ALLOWED),
    ("read", (0, 3), ALLOWED),
]


@pytest.mark.parametrize(("name", "call", "expected"), GUARDED, ids=[row[0] for row in GUARDED])
def test_only_the_outside_can_kill_a_guarded_process(
    name: str, call: tuple[int, ...], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes the strictest result of all filters."""
    monkeypatch.setattr(seccomp, "MACHINE", "x86_64")
    both = {verdict(program, *call) for program in (seccomp.build_filter(sockets=False), seccomp.build_guard(77))}
    assert min(both - {ALLOWED} or both) == expected


def test_an_unknown_architecture_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "MACHINE", "riscv64")
    assert seccomp.build_filter(sockets=False) == b""


def test_linux_accepts_the_filter(sandbox: Sandbox) -> None:
    assert sandbox.layers["seccomp"] is True
    status = sandbox.run(
        Job("program", "print([l for l in open('/proc/self/status') if l.startswith('Seccomp:')][0])")
    ).stdout
    assert status.split() == [b"Seccomp:", b"2"]
