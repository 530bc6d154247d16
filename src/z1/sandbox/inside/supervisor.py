"""The supervisor: process 1 of a sandbox process, which runs one program, enforces its limits and reports its end.

It reads one job and then starts the job's program once for each input: a new process under the job's limits. It watches
the clock, the memory of all processes of the sandbox together, and the control socket, whose other end the grader has;
it kills what is left and reports how the program ended. When the supervisor ends, Linux kills everything in its process
namespace. A program can neither inspect nor signal the supervisor: Linux ignores a signal to process 1 that it has no
handler for. So it cannot forge the report.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from z1.sandbox.inside import seccomp, syscalls
from z1.sandbox.inside.control_group import JoinedGroup
from z1.sandbox.inside.memory import MemoryMeter, file_bytes_of_self

MIN_CHECK_INTERVAL, MAX_CHECK_INTERVAL = 0.002, 0.05
"""Seconds between two checks of the memory."""
PRECEDENCE = 10
FILL_RATE = 8e9
"""Bytes a second that a program may fill; memory is checked again before it can have filled what is left."""

STACK_BYTES = 120 << 20
"""Linux reserves 128 MiB below the first stack, however low the limit was when the process started."""

STARTED = b"+"

TRUSTED_KINDS = frozenset({"separate_tests"})
"""Jobs whose first process runs nothing of the solution, and cannot be inspected by what does."""


ProgramRunner = Callable[[list[int], dict[str, Any], int], None]
"""Runs a job's program in a child: (descriptors, job, descriptor on which to write `STARTED`)."""


def take_precedence() -> int | None:
    """Have this process and its forks run before programs, if it may; returns what programs have to be set back to.

    Many hungry processes would delay the supervisor until they hold more than they may.
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice - PRECEDENCE)
    except OSError:
        return None
    return nice


def supervise(control: socket.socket, run: ProgramRunner, nice: int | None) -> None:
    """Read a job from `control`, then `run` it in a child for every four descriptors received. Never returns.

    `nice` is the priority of programs, see `take_precedence`.
    `run` writes `STARTED` when the child is ready; a child that ends before is a failure of the sandbox and not of the
    program.
    """
    read, group = _read_job(control)
    job = {**read, "nice": nice}
    _set_limits(job)
    os.chdir("/tmp")  # once: the program of an earlier input may forbid it
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not message:
            os._exit(0)
        try:
            report = _run_once(Watch(job, control, group), descriptors, run)
        except BaseException as error:
            report = {"end": "sandbox", "error": f"{type(error).__name__}: {error}"}
        control.sendall(json.dumps(report).encode() + b"\n")


def _read_job(control: socket.socket) -> tuple[dict[str, Any], JoinedGroup]:
    size, descriptors, _, _ = socket.recv_fds(control, 1, 2)
    while not size.endswith(b"\n"):
        size += control.recv(1) or b"0\n"
    parts, remaining = [], int(size)
    while remaining > 0:
        parts.append(control.recv(min(remaining, 1 << 20)))
        remaining -= len(parts[-1]) or remaining
    if not parts:
        os._exit(0)  # the grader ended before it sent a job
    return json.loads(b"".join(parts)), JoinedGroup(descriptors)


def _run_once(watch: Watch, descriptors: list[int], run: ProgramRunner) -> dict[str, Any]:
    started_read, started_write = os.pipe()
    try:
        child = syscalls.fork()
        if child == 0:
            watch.group.join()
            _start_program(watch.job)
            run(descriptors, watch.job, started_write)
            os._exit(70)  # not reached: `run` ends the process
    finally:
        for number in (*descriptors, started_write):
            os.close(number)
    try:
        end = watch.wait(child)
    finally:
        seconds = time.monotonic() - watch.start
        status, used = _end_processes(child)
    with os.fdopen(started_read, "rb") as file:
        if not file.read(1):
            raise ChildProcessError(f"the program did not start (status {status})")
    return {
        "end": end or watch.find_limit(status, used),
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall_seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_bytes": used.ru_maxrss * 1024,
    }


def _start_program(job: dict[str, Any]) -> None:
    """In the program's process, before its first line: what holds for this process only."""
    os.setsid()
    if job["nice"] is not None:
        os.setpriority(os.PRIO_PROCESS, 0, job["nice"])
    cpu_limit = max(1, int(job["cpu_seconds"] + 0.999))
    _limit(resource.RLIMIT_CPU, cpu_limit, cpu_limit + 1)
    if job["kind"] not in TRUSTED_KINDS:
        syscalls.set_dumpable(True)
    if "signal" in job["code"] or "KeyboardInterrupt" in job["code"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    KILL_GUARD.install()


class KillGuard:
    """From `install` on a process can be killed by SIGKILL only from outside its sandbox."""

    def __init__(self) -> None:
        program = seccomp.build_guard(UNKNOWN)
        self._filter = syscalls.SeccompFilter(program) if program else None
        values = [value for (value,) in struct.iter_unpack("=4xI", program)]
        self._places = [(sign, values.index(sign * UNKNOWN & 0xFFFFFFFF)) for sign in (1, -1) if program]

    def install(self) -> None:
        """Guard this process."""
        if self._filter:
            for sign, number in self._places:
                self._filter.set_value(number, sign * os.getpid())
            self._filter.install()


UNKNOWN = 0x7ABCDEF1
"""Stands for the number of a process in a filter that is made before the process."""

KILL_GUARD = KillGuard()
"""Made once, by the fork server: what a program's process makes itself is memory that has to be copied."""


def _end_processes(child: int) -> tuple[int, resource.struct_rusage]:
    """Kill and reap `child` and whatever it has left; returns its status and usage."""
    with suppress(ProcessLookupError):
        os.kill(-1 if os.getpid() == 1 else child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    with suppress(ChildProcessError):
        while True:  # a process that was not reaped counts against the limit of the next run
            os.wait4(-1, 0)
    return status, used


class Watch:
    """Waits for a program and enforces the limits that Linux does not."""

    def __init__(self, job: dict[str, Any], control: socket.socket, group: JoinedGroup) -> None:
        self.job, self._control, self.group = job, control, group
        self._kills = group.count_kills()
        self._memory = MemoryMeter() if os.getpid() == 1 else None
        self.start = time.monotonic()

    def wait(self, child: int) -> str:
        """Wait until `child` ends; returns "" if it ended by itself, else the limit that it exceeded.

        A closed control socket ends the supervisor, and with it everything.
        """
        exited = os.pidfd_open(child)
        if self._memory and self.job["kind"] in TRUSTED_KINDS:
            self._memory.trusted = str(child)
        try:
            return self._poll(exited, child)
        finally:
            os.close(exited)

    def _poll(self, exited: int, child: int) -> str:
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        poll.register(self._control, 0)  # no event but a hang-up: the next input may be waiting already
        wall, interval = self.job["wall_seconds"], _check_interval(self.job["memory_bytes"])
        while True:
            spent = time.monotonic() - self.start
            if spent >= wall:
                spent -= min(_waiting_seconds(child), self.job["max_waiting_seconds"])
            if spent >= wall:
                return "time"
            ready = dict(poll.poll(1000 * min(wall - spent, interval) + 1))
            if exited in ready:
                return ""
            if ready:
                os._exit(0)
            if self._memory:
                left = self.job["memory_bytes"] - self._memory.used_bytes(self.job["memory_bytes"])
                if left < 0:
                    return "memory"
                interval = _check_interval(left)

    def find_limit(self, status: int, used: resource.struct_rusage) -> str:
        """The limit that a program which ended with `status` had exceeded unseen, "" for none.

        Raises ChildProcessError if it was killed from outside.
        """
        if self.group.count_kills() > self._kills:
            return "memory"
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number == signal.SIGXCPU or (number == signal.SIGKILL and self._is_over_cpu_limit(used)):
            return "time"
        beyond = used.ru_maxrss * 1024 - self.job["memory_bytes"]
        if self._memory and beyond > 0 and beyond > max(self._memory.file_bytes, file_bytes_of_self()):
            return "memory"
        if number == signal.SIGKILL and seccomp.is_supported():
            raise ChildProcessError("it was killed from outside, as Linux does when memory is short (SIGKILL)")
        return ""

    def _is_over_cpu_limit(self, used: resource.struct_rusage) -> bool:
        return bool(used.ru_utime + used.ru_stime >= self.job["cpu_seconds"])


def _check_interval(left: float) -> float:
    """Seconds until the memory has to be checked again, if `left` bytes may still be used."""
    return min(max(left / FILL_RATE, MIN_CHECK_INTERVAL), MAX_CHECK_INTERVAL)


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
