"""Which system calls may a program make?

A seccomp filter that refuses what no program under test needs and what attacks on a kernel begin with: other processes'
memory, mounts, namespaces, kernel keys and modules, io_uring, System V and anonymous shared memory (which no limit
counts), limits of other processes; and sockets, unless they are allowed. Refused calls fail with EPERM, `clone3` with
ENOSYS so that libc falls back on `clone`, whose flags can be read. It does not replace namespaces; it stands behind
them. Numbers from Linux' tables (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
"""

from __future__ import annotations

import struct

from z1.sandbox.inside.syscalls import MACHINE, NEW_ANY

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: number on x86_64, on aarch64 (-1: there is none)
DENIED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "personality": (135, 92),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "fanotify_init": (300, 262),
    "uselib": (134, -1),
    "vhangup": (153, 58),
}
SOCKETS = {"socket": (41, 198)}
CLONE, CLONE3, PRLIMIT = (56, 220), (435, 435), (302, 261)

LOAD, JUMP_IF_EQUAL, JUMP_IF_OVER, JUMP_IF_ANY, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _refuse(number: int, error: int = EPERM) -> bytes:
    return _step(JUMP_IF_EQUAL, number, 0, 1) + _step(RETURN, FAIL | error)


def _look_at(number: int, test: bytes) -> bytes:
    """For call `number`, `test` the first argument: it skips one step where the call is refused."""
    body = _step(LOAD, FIRST_ARGUMENT_AT) + test + _step(RETURN, ALLOW) + _step(RETURN, FAIL | EPERM)
    return _step(JUMP_IF_EQUAL, number, 0, len(body) // 8) + body


def program(*, sockets: bool) -> bytes:
    """The filter for this machine, 8 bytes an instruction; empty where its numbers are not known."""
    if MACHINE not in ARCHITECTURE:
        return b""
    column = 0 if MACHINE == "x86_64" else 1
    numbers = [both[column] for both in {**DENIED, **({} if sockets else SOCKETS)}.values()]
    parts = [
        _step(LOAD, ARCHITECTURE_AT),
        _step(JUMP_IF_EQUAL, ARCHITECTURE[MACHINE], 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
        _step(JUMP_IF_OVER, 0x40000000, 0, 1),  # the numbers of x32 mean the same calls again
        _step(RETURN, FAIL | EPERM),
        *(_refuse(number) for number in numbers if number >= 0),
        _refuse(CLONE3[column], ENOSYS),
        _look_at(CLONE[column], _step(JUMP_IF_ANY, NEW_ANY, 1, 0)),
        _look_at(PRLIMIT[column], _step(JUMP_IF_EQUAL, 0, 0, 1)),
        _step(RETURN, ALLOW),
    ]
    return b"".join(parts)
