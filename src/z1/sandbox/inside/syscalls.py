"""Linux calls that Python does not wrap: namespaces, mounts, capabilities and seccomp.

Thin wrappers of libc and raw system calls without any policy; a failure raises an OSError that names the call. Sources:
the manual pages mount(2), pivot_root(2), mount_setattr(2), user_namespaces(7), capset(2), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Any

NEW_MOUNT = 0x00020000
NEW_CGROUP = 0x02000000
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NET = 0x40000000
NEW_ANY = NEW_MOUNT | NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_USER | NEW_PID | NEW_NET

NO_SUID, NO_DEV, NO_EXEC = 2, 4, 8
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18
READ_ONLY_ATTRIBUTE, NO_SUID_ATTRIBUTE, NO_DEV_ATTRIBUTE = 1, 2, 4
DETACH = 2

MACHINE = platform.machine()

RAW = {
    "x86_64": {"pivot_root": 155, "capset": 126, "mount_setattr": 442, "clone": 56},
    "aarch64": {"pivot_root": 41, "capset": 91, "mount_setattr": 442, "clone": 220},
}

_libc: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
_libc_with_lock: Any = ctypes.PyDLL(None, use_errno=True) if os.name == "posix" else None


def _check(name: str, result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _raw(name: str, *arguments: Any) -> None:
    _check(name, _libc.syscall(RAW[MACHINE][name], *arguments))


def unshare(flags: int) -> None:
    """Move to new namespaces of the kinds in `flags`; a new process namespace starts with the next child."""
    _check("unshare", _libc.unshare(flags))


def fork() -> int:
    """As `os.fork`, for a process with one thread. Skips Python's work in the child (freeing locks, seeding
    generators): it writes to much memory, and each page written is a page copied.
    """
    child = int(_libc_with_lock.fork())
    _check("fork", child)
    return child


def fork_into(flags: int) -> int:
    """As `fork`; the child starts in new namespaces of the kinds in `flags`, as process 1.

    libc keeps the parent's thread number in the child. If the parent is itself process 1, that number is correct.
    """
    child = int(_libc_with_lock.syscall(RAW[MACHINE]["clone"], flags | 17, 0, 0, 0, 0))
    _check("clone", child)
    return child


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    _check(f"mount {target}", _libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()))


def unmount(target: str) -> None:
    """Detach the mount at `target`."""
    _check("umount2", _libc.umount2(target.encode(), DETACH))


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and move the previous root to `old`."""
    _raw("pivot_root", new.encode(), old.encode())


def make_read_only(target: str, *, deep: bool, devices: bool = False) -> None:
    """Make a mount, and with `deep` all mounts below it, read-only and without set-user-id; without devices unless
    `devices` (Linux 5.12 or later).
    """
    flags = READ_ONLY_ATTRIBUTE | NO_SUID_ATTRIBUTE | (0 if devices else NO_DEV_ATTRIBUTE)
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)
    _raw("mount_setattr", -100, target.encode(), 0x8000 if deep else 0, attributes, len(attributes))


def set_option(option: int, value: int) -> None:
    """prctl(2) with one value."""
    _check("prctl", _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def die_with_parent() -> None:
    """Have this process killed when its parent ends."""
    set_option(1, 9)


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may inspect this one; also decides who owns its files in /proc."""
    set_option(4, int(dumpable))


def set_command_line(arguments: list[str]) -> None:
    """What /proc/PID/cmdline says of this process and its forks, cut off at the length of the present one."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5)
    text = b"".join(argument.encode() + b"\0" for argument in arguments)
    ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)


def drop_privileges() -> None:
    """Drop all capabilities and every way to gain one."""
    set_option(38, 1)  # no new privileges
    header, empty = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _raw("capset", header, empty)


class SeccompFilter:
    """A seccomp filter from a BPF `program` of 8-byte instructions."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        self._header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(self._code))

    def set_value(self, number: int, value: int) -> None:
        """Change the value of instruction `number`."""
        ctypes.c_int32.from_buffer(self._code, 8 * number + 4).value = value

    def install(self) -> None:
        """Install it, irrevocably, for this process and all its children."""
        _check("seccomp", _libc.prctl(22, ctypes.c_ulong(2), self._header, 0, 0))


def loopback_up() -> None:
    """Bring up the loopback interface of a new network namespace."""
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1))
