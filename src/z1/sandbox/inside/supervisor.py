"""How long may a program run, and how did it end?

The keeper is the first process of a room. It takes one job and then, as often as it is asked, starts the job's program
on another input: a fresh process under the job's limits. It watches the clock, the memory of all processes of the room
together, and the leash (a socket whose other end the grader holds), kills what is left, and reports how the program
ended. When the keeper ends, Linux kills everything in the room. A program can neither look into the keeper nor signal
it, so the report cannot be forged.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from z1.sandbox.inside import syscalls

GLANCE = 0.05
"""Seconds between two looks at the memory."""

PAGE: int = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
STACK = 120 << 20
"""Bytes of stack: Linux keeps 128 MiB free below the first one, however low the limit was when a process began."""

BEGUN = b"+"


Become = Callable[[list[int], dict[str, Any], int], None]


def keep(leash: socket.socket, become: Become) -> None:
    """Read a job from `leash`; then run it (`become`, in a child) for every four descriptors that come. Never returns.

    `become` writes `BEGUN` to the descriptor it is given when all is prepared; a child that ends before is the
    sandbox's failure and not the program's.
    """
    job = _order(leash)
    _bind(job)
    while True:
        asked, given, _, _ = socket.recv_fds(leash, 1, 4)
        if not asked:
            os._exit(0)
        try:
            report = _once(job, leash, given, become)
        except BaseException as error:
            report = {"why": "sandbox", "error": f"{type(error).__name__}: {error}"}
        leash.sendall(json.dumps(report).encode() + b"\n")


def _order(leash: socket.socket) -> dict[str, Any]:
    size = b""
    while not size.endswith(b"\n"):
        size += leash.recv(1) or b"0\n"
    parts, left = [], int(size)
    while left > 0:
        parts.append(leash.recv(min(left, 1 << 20)))
        left -= len(parts[-1]) or left
    if not parts:
        os._exit(0)  # the grader ended before it said what it wanted
    job: dict[str, Any] = json.loads(b"".join(parts))
    return job


def _once(job: dict[str, Any], leash: socket.socket, given: list[int], become: Become) -> dict[str, Any]:
    began = time.monotonic()
    begun, begins = os.pipe()
    child = syscalls.fork()
    if child == 0:
        os.setsid()
        allowed = max(1, int(job["cpu_seconds"] + 0.999))
        _limit(resource.RLIMIT_CPU, allowed, allowed + 1)
        syscalls.be_dumpable(True)
        become(given, job, begins)
        os._exit(70)  # a program ends by itself; this is never reached
    for number in (*given, begins):
        os.close(number)
    why = _watch(child, leash, began, job)
    seconds = time.monotonic() - began
    if why:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    status, used = _reap(child)
    if os.getpid() == 1:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # so that nobody holds the pipes open any more
    if not os.read(begun, 1):
        raise ChildProcessError(f"the program could not begin (status {status})")
    os.close(begun)
    cpu = used.ru_utime + used.ru_stime
    if not why and os.WIFSIGNALED(status) and _out_of_time(os.WTERMSIG(status), cpu, job["cpu_seconds"]):
        why = "time"
    code = os.waitstatus_to_exitcode(status)
    return {"why": why, "code": code, "seconds": seconds, "cpu": cpu, "memory": used.ru_maxrss * 1024}


def _out_of_time(number: int, cpu: float, allowed: float) -> bool:
    return number == signal.SIGXCPU or (number == signal.SIGKILL and cpu >= allowed)


def _reap(child: int) -> tuple[int, resource.struct_rusage]:
    while True:
        found, status, used = os.wait4(-1, 0)
        if found == child:
            return status, used


def _watch(child: int, leash: socket.socket, began: float, job: dict[str, Any]) -> str:
    """Wait for the end of `child`; "" if it came by itself, else what it is stopped for. A cut leash ends all."""
    exited = os.pidfd_open(child)
    try:
        return _look(exited, child, leash, began, job)
    finally:
        os.close(exited)


def _look(exited: int, child: int, leash: socket.socket, began: float, job: dict[str, Any]) -> str:
    poll = select.poll()
    poll.register(exited, select.POLLIN)
    poll.register(leash, 0)  # the next input may lie there already; only its end is of interest
    while True:
        spent = time.monotonic() - began
        if spent >= job["wall_seconds"]:
            spent -= min(_kept_waiting(child), job["waiting"])
        if spent >= job["wall_seconds"]:
            return "time"
        ready = dict(poll.poll(1000 * min(job["wall_seconds"] - spent, GLANCE) + 1))
        if exited in ready:
            return ""
        if ready:
            os._exit(0)
        if os.getpid() == 1 and _resident() > job["memory_bytes"]:
            return "memory"


def _kept_waiting(child: int) -> float:
    """Seconds that `child` was ready to compute while others had the processors.

    0 where it has threads or processes of its own, which may have been those others.
    """
    alone = os.getpid() != 1 or sum(name.isdigit() for name in os.listdir("/proc")) == 2
    try:
        if not alone or len(os.listdir(f"/proc/{child}/task")) > 1:
            return 0.0
        with open(f"/proc/{child}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _resident() -> int:
    """Bytes that the processes of this room hold for themselves."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with suppress(OSError), open(f"/proc/{name}/statm") as file:
                _, resident, shared, *_ = file.read().split()
                total += (int(resident) - int(shared)) * PAGE
    return total


def _bind(limits: dict[str, Any]) -> None:
    """The limits that a process hands on to its children; the keeper itself can live under them."""
    _limit(resource.RLIMIT_AS, int(limits["address_space_bytes"]))
    _limit(resource.RLIMIT_FSIZE, int(limits["file_bytes"]))
    _limit(resource.RLIMIT_NPROC, int(limits["max_processes"]))
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_STACK, STACK)


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; one that is lower already stays (raising it is refused, and then a program would not start)."""
    _, top = resource.getrlimit(which)
    if top != resource.RLIM_INFINITY:
        soft, hard = min(soft, top), min(hard or soft, top)
    resource.setrlimit(which, (soft, hard or soft))
