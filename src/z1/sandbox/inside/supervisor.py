"""The supervisor: process 1 of a sandbox process, which runs one program, enforces its limits and reports its end.

It reads one job and then starts the job's program once for each input: a new process under the job's limits. It watches
the clock, the memory of all processes of the sandbox together, and the control socket, whose other end the grader has;
it kills what is left and reports how the program ended. When the supervisor ends, Linux kills everything in its process
namespace. A program can neither inspect nor signal the supervisor, so it cannot forge the report.
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

MEMORY_CHECK_INTERVAL = 0.05
"""Seconds between two checks of the memory."""

PAGE_BYTES: int = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
STACK_BYTES = 120 << 20
"""Linux reserves 128 MiB below the first stack, however low the limit was when the process started."""

STARTED = b"+"


ProgramRunner = Callable[[list[int], dict[str, Any], int], None]
"""Runs a job's program in a child: (descriptors, job, descriptor on which to write `STARTED`)."""


def supervise(control: socket.socket, run: ProgramRunner) -> None:
    """Read a job from `control`, then `run` it in a child for every four descriptors received. Never returns.

    `run` writes `STARTED` when the child is ready; a child that ends before is a failure of the sandbox and not of the
    program.
    """
    job = _read_job(control)
    _set_limits(job)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not message:
            os._exit(0)
        try:
            report = _run_once(job, control, descriptors, run)
        except BaseException as error:
            report = {"end": "sandbox", "error": f"{type(error).__name__}: {error}"}
        control.sendall(json.dumps(report).encode() + b"\n")


def _read_job(control: socket.socket) -> dict[str, Any]:
    size = b""
    while not size.endswith(b"\n"):
        size += control.recv(1) or b"0\n"
    parts, remaining = [], int(size)
    while remaining > 0:
        parts.append(control.recv(min(remaining, 1 << 20)))
        remaining -= len(parts[-1]) or remaining
    if not parts:
        os._exit(0)  # the grader ended before it sent a job
    job: dict[str, Any] = json.loads(b"".join(parts))
    return job


def _run_once(
    job: dict[str, Any], control: socket.socket, descriptors: list[int], run: ProgramRunner
) -> dict[str, Any]:
    start = time.monotonic()
    started_read, started_write = os.pipe()
    child = syscalls.fork()
    if child == 0:
        os.setsid()
        cpu_limit = max(1, int(job["cpu_seconds"] + 0.999))
        _limit(resource.RLIMIT_CPU, cpu_limit, cpu_limit + 1)
        syscalls.set_dumpable(True)
        run(descriptors, job, started_write)
        os._exit(70)  # not reached: `run` ends the process
    for number in (*descriptors, started_write):
        os.close(number)
    end = _wait(child, control, start, job)
    seconds = time.monotonic() - start
    if end:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    status, used = _reap(child)
    if os.getpid() == 1:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # so that no process keeps the pipes open
    if not os.read(started_read, 1):
        raise ChildProcessError(f"the program did not start (status {status})")
    os.close(started_read)
    cpu = used.ru_utime + used.ru_stime
    if not end and os.WIFSIGNALED(status) and _is_cpu_limit(os.WTERMSIG(status), cpu, job["cpu_seconds"]):
        end = "time"
    return {
        "end": end,
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall_seconds": seconds,
        "cpu_seconds": cpu,
        "peak_memory_bytes": used.ru_maxrss * 1024,
    }


def _is_cpu_limit(number: int, cpu: float, limit: float) -> bool:
    return number == signal.SIGXCPU or (number == signal.SIGKILL and cpu >= limit)


def _reap(child: int) -> tuple[int, resource.struct_rusage]:
    while True:
        found, status, used = os.wait4(-1, 0)
        if found == child:
            return status, used


def _wait(child: int, control: socket.socket, start: float, job: dict[str, Any]) -> str:
    """Wait until `child` ends; returns "" if it ended by itself, else the limit that it exceeded.

    A closed control socket ends the supervisor, and with it everything.
    """
    exited = os.pidfd_open(child)
    try:
        return _poll(exited, child, control, start, job)
    finally:
        os.close(exited)


def _poll(exited: int, child: int, control: socket.socket, start: float, job: dict[str, Any]) -> str:
    poll = select.poll()
    poll.register(exited, select.POLLIN)
    poll.register(control, 0)  # no event but a hang-up: the next input may be waiting already
    while True:
        spent = time.monotonic() - start
        if spent >= job["wall_seconds"]:
            spent -= min(_waiting_seconds(child), job["max_waiting_seconds"])
        if spent >= job["wall_seconds"]:
            return "time"
        ready = dict(poll.poll(1000 * min(job["wall_seconds"] - spent, MEMORY_CHECK_INTERVAL) + 1))
        if exited in ready:
            return ""
        if ready:
            os._exit(0)
        if os.getpid() == 1 and _private_bytes() > job["memory_bytes"]:
            return "memory"


def _waiting_seconds(child: int) -> float:
    """Seconds that `child` was ready to run while other processes had the processors.

    0 if it has threads or children of its own, since these may have been the other processes.
    """
    is_alone = os.getpid() != 1 or sum(name.isdigit() for name in os.listdir("/proc")) == 2
    try:
        if not is_alone or len(os.listdir(f"/proc/{child}/task")) > 1:
            return 0.0
        with open(f"/proc/{child}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _private_bytes() -> int:
    """Resident memory of all processes of this sandbox process, without shared pages."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with suppress(OSError), open(f"/proc/{name}/statm") as file:
                _, resident, shared, *_ = file.read().split()
                total += (int(resident) - int(shared)) * PAGE_BYTES
    return total


def _set_limits(limits: dict[str, Any]) -> None:
    """Set the limits that children inherit; the supervisor can work under them itself."""
    _limit(resource.RLIMIT_AS, int(limits["address_space_bytes"]))
    _limit(resource.RLIMIT_FSIZE, int(limits["file_bytes"]))
    _limit(resource.RLIMIT_NPROC, int(limits["max_processes"]))
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_STACK, STACK_BYTES)


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; keeps a lower one, since raising it fails and the program would not start."""
    _, maximum = resource.getrlimit(which)
    if maximum != resource.RLIM_INFINITY:
        soft, hard = min(soft, maximum), min(hard or soft, maximum)
    resource.setrlimit(which, (soft, hard or soft))
