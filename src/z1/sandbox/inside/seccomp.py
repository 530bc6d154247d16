"""The seccomp filters: which system calls a program may make.

The first filter refuses calls that no program under test needs and that attacks on a kernel start with: other
processes' memory, mounts, namespaces, kernel keys and modules, io_uring, files and System V segments in memory, limits
and scheduling of other processes; and sockets, unless they are allowed. Refused calls fail with EPERM, `clone3` with
ENOSYS, so that libc falls back to `clone`, whose flags the filter can read. It is a second layer behind the namespaces,
not a replacement.

The second filter, of one process, ends every process that would send SIGKILL to it; the first one leaves only `kill` to
do so. Thus a program that was killed by SIGKILL, and not by its supervisor, was killed from outside the sandbox, as the
kernel does when memory is short.
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
    "modify_ldt": (154, -1),
    "ioprio_set": (251, 30),
    "statmount": (457, 457),
    "listmount": (458, 458),
}
SOCKET, SETPRIORITY = (41, 198), (141, 140)
CLONE, CLONE3, PRLIMIT, SETRLIMIT = (56, 220), (435, 435), (302, 261), (160, 164)
SCHEDULING = {
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
}
"""Their first argument is a process; 0 is the caller."""
FAMILIES = (1, 2, 10, 16)
"""Kinds of sockets that stay inside a network namespace: Unix, IPv4, IPv6 and netlink."""

KILL_CALL, FCNTL, TIMER_CREATE, PRCTL = (62, 129), (72, 25), (222, 107), (157, 167)
SIGNAL_CALLS = {
    "tkill": ((200, 130), 1),
    "tgkill": ((234, 131), 2),
    "rt_sigqueueinfo": ((129, 138), 1),
    "rt_tgsigqueueinfo": ((297, 240), 2),
    "pidfd_send_signal": ((424, 424), 1),
}
"""Calls that send a signal to a process or thread, and which of their arguments is the signal."""
SIGKILL, SET_SIGNAL, CPU_LIMIT, SET_DUMPABLE = 9, 10, 0, 4

LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_IF_EQUAL, JUMP_IF_GREATER_OR_EQUAL, JUMP_IF_ANY_BIT = 0x15, 0x35, 0x45
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = FAIL | 1, FAIL | 38
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16

Condition = tuple[int, str, int]
"""An argument (0 to 5), a relation, and a value: `is`, `is not`, `has any of` (bits) and `ends with` (the last byte)
look at the argument's lower 32 bits, `upper is not` at the upper ones.
"""


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _condition(condition: Condition, skip: int) -> bytes:
    """Skip `skip` instructions, as jumps count them, unless `condition` holds."""
    argument, relation, value = condition
    load = _instruction(LOAD, ARGUMENTS_OFFSET + 8 * argument + 4 * relation.startswith("upper"))
    value &= 0xFFFFFFFF
    if relation == "is":
        return load + _instruction(JUMP_IF_EQUAL, value, 0, skip)
    if relation.endswith("is not"):
        return load + _instruction(JUMP_IF_EQUAL, value, skip, 0)
    if relation == "has any of":
        return load + _instruction(JUMP_IF_ANY_BIT, value, 0, skip)
    return load + _instruction(AND, 0xFF) + _instruction(JUMP_IF_EQUAL, value, 0, skip)


def _rule(call: tuple[int, int], action: int, *conditions: Condition) -> bytes:
    """The result `action` for `call` if all `conditions` hold. The number of the call is loaded before and after."""
    number = call[0 if MACHINE == "x86_64" else 1]
    if number < 0:
        return b""
    body = _instruction(RETURN, action)
    for condition in reversed(conditions):
        body = _condition(condition, len(body) // 8) + body
    return _instruction(JUMP_IF_EQUAL, number, 0, len(body) // 8 + bool(conditions)) + body + _reload(bool(conditions))


def _reload(is_needed: bool) -> bytes:
    return _instruction(LOAD, NUMBER_OFFSET) if is_needed else b""


def is_supported() -> bool:
    """Whether there are filters for this machine's architecture."""
    return MACHINE in ARCHITECTURE


def build_filter(*, sockets: bool) -> bytes:
    """The filter for this machine's architecture, 8 bytes an instruction; empty for an unknown architecture."""
    if MACHINE not in ARCHITECTURE:
        return b""
    parts = [
        _instruction(LOAD, ARCHITECTURE_OFFSET),
        _instruction(JUMP_IF_EQUAL, ARCHITECTURE[MACHINE], 1, 0),
        _instruction(RETURN, KILL),
        _instruction(LOAD, NUMBER_OFFSET),
        _instruction(JUMP_IF_GREATER_OR_EQUAL, 0x40000000, 0, 1),  # x32 has the same calls under other numbers
        _instruction(RETURN, EPERM),
        *(_rule(call, EPERM) for call in DENIED.values()),
        _rule(SOCKET, EPERM, *((0, "is not", family) for family in FAMILIES if sockets)),
        _rule(CLONE3, ENOSYS),
        _rule(CLONE, EPERM, (0, "has any of", NEW_ANY)),
        _rule(PRLIMIT, EPERM, (0, "is not", 0)),
        *(_rule(call, EPERM, (0, "is not", 0)) for call in SCHEDULING.values()),
        _rule(SETPRIORITY, EPERM, (0, "is", 2)),  # of all processes of the user
        _rule(SETPRIORITY, EPERM, (1, "is not", 0)),
        _rule(PRCTL, EPERM, (0, "is", SET_DUMPABLE), (1, "is", 0)),  # it would hide its memory from the supervisor
        *(_rule(call, KILL, (argument, "is", SIGKILL)) for call, argument in SIGNAL_CALLS.values()),
        _rule(FCNTL, EPERM, (1, "is", SET_SIGNAL), (2, "is", SIGKILL)),
        _rule(TIMER_CREATE, EPERM),
        _rule(CLONE, EPERM, (0, "ends with", SIGKILL)),
        _instruction(RETURN, ALLOW),
    ]
    return b"".join(parts)


def build_guard(process: int) -> bytes:
    """The filter of `process` against SIGKILL from itself and its children; empty for an unknown architecture.

    A process that sends it to `process`, or to a group that may have it, is ended by SIGSYS instead. So that Linux
    itself sends none, limits on CPU time are refused. The first filter refuses other ways to send it.
    """
    if not is_supported():
        return b""
    kill = (1, "is", SIGKILL)
    parts = [
        _instruction(LOAD, NUMBER_OFFSET),
        *(_rule(KILL_CALL, KILL, kill, (0, "is", target)) for target in (process, -process, 0, -1)),
        _rule(SETRLIMIT, EPERM, (0, "is", CPU_LIMIT)),
        *(_rule(PRLIMIT, EPERM, (1, "is", CPU_LIMIT), (2, half, 0)) for half in ("is not", "upper is not")),
        _instruction(RETURN, ALLOW),
    ]
    return b"".join(parts)
