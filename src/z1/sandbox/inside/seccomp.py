"""The seccomp filter: which system calls a program may make.

It refuses calls that no program under test needs and that attacks on a kernel start with: other processes' memory,
mounts, namespaces, kernel keys and modules, io_uring, System V and anonymous shared memory (which no limit counts),
limits of other processes; and sockets, unless they are allowed. Refused calls fail with EPERM, `clone3` with ENOSYS, so
that libc falls back to `clone`, whose flags the filter can read. The filter is a second layer behind the namespaces,
not a replacement.
Source of the numbers: Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import struct

from z1.sandbox.inside.syscalls import MACHINE, NEW_ANY

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: number on x86_64, on aarch64 (-1 if the call does not exist there)
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

LOAD, JUMP_IF_EQUAL, JUMP_IF_GREATER_OR_EQUAL, JUMP_IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
NUMBER_OFFSET, ARCHITECTURE_OFFSET, FIRST_ARGUMENT_OFFSET = 0, 4, 16


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _refuse(number: int, error: int = EPERM) -> bytes:
    return _instruction(JUMP_IF_EQUAL, number, 0, 1) + _instruction(RETURN, FAIL | error)


def _check_argument(number: int, test: bytes) -> bytes:
    """For call `number`, `test` the first argument: `test` skips one instruction if the call is refused."""
    body = (
        _instruction(LOAD, FIRST_ARGUMENT_OFFSET)
        + test
        + _instruction(RETURN, ALLOW)
        + _instruction(RETURN, FAIL | EPERM)
    )
    return _instruction(JUMP_IF_EQUAL, number, 0, len(body) // 8) + body


def build_filter(*, sockets: bool) -> bytes:
    """The filter for this machine's architecture, 8 bytes an instruction; empty for an unknown architecture."""
    if MACHINE not in ARCHITECTURE:
        return b""
    column = 0 if MACHINE == "x86_64" else 1
    numbers = [both[column] for both in {**DENIED, **({} if sockets else SOCKETS)}.values()]
    parts = [
        _instruction(LOAD, ARCHITECTURE_OFFSET),
        _instruction(JUMP_IF_EQUAL, ARCHITECTURE[MACHINE], 1, 0),
        _instruction(RETURN, KILL),
        _instruction(LOAD, NUMBER_OFFSET),
        _instruction(JUMP_IF_GREATER_OR_EQUAL, 0x40000000, 0, 1),  # x32 has the same calls under other numbers
        _instruction(RETURN, FAIL | EPERM),
        *(_refuse(number) for number in numbers if number >= 0),
        _refuse(CLONE3[column], ENOSYS),
        _check_argument(CLONE[column], _instruction(JUMP_IF_ANY_BIT, NEW_ANY, 1, 0)),
        _check_argument(PRLIMIT[column], _instruction(JUMP_IF_EQUAL, 0, 0, 1)),
        _instruction(RETURN, ALLOW),
    ]
    return b"".join(parts)
