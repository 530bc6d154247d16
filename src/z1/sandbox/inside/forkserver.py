"""The fork server: starts an isolated process for a program in milliseconds.

A warm interpreter in namespaces of its own keeps a few sandbox processes ready: each is a fork of it in further
namespaces, with a supervisor that waits for one job. A job starts with a control socket, received over a socket that
all waiting processes share; over the control socket come the job and then, for each input, the descriptors of stdin,
stdout, stderr and results. A sandbox process serves one program. Nothing passes from one program to the next, since
each process is a fork of the unchanged server. The server reports its layers of protection once, at the start.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from z1.sandbox.inside import (
    namespaces,
    run_function,
    run_program,
    run_separate_tests,
    run_shared_tests,
    seccomp,
    supervisor,
    syscalls,
)

PRELOADED = [
    "array",
    "bisect",
    "cmath",
    "collections",
    "collections.abc",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "io",
    "itertools",
    "json",
    "math",
    "numbers",
    "operator",
    "os",
    "queue",
    "random",
    "re",
    "statistics",
    "string",
    "struct",
    "sys",
    "threading",
    "time",
    "traceback",
    "typing",
]
"""Modules that are loaded before a program starts; it still has to import them."""

JOB_KINDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "program": run_program.run,
    "function": run_function.run,
    "separate_tests": run_separate_tests.run,
    "shared_tests": run_shared_tests.run,
}

CALIBRATION_STEPS = 200_000
REFERENCE_SECONDS = 0.016
"""CPU time of the calibration loop on the machine on which the limits were chosen."""

NO_NETWORK, NETWORK = b"-", b"n"

TRIAL_SECONDS = 3.0
"""Seconds after which a process that is isolated as a trial counts as stuck."""

COMMAND_LINE = [sys.executable, run_program.PATH]
"""What /proc says of the fork server and of every program, instead of paths of the grader."""


@dataclass(frozen=True)
class ProcessKind:
    """One kind of sandbox process: the socket of its jobs, its namespaces and its seccomp filter."""

    mark: bytes
    jobs: socket.socket
    flags: int
    seccomp: syscalls.SeccompFilter | None


def main(sockets: list[socket.socket], settings: dict[str, Any]) -> None:
    """Serve until the other ends are closed. `sockets`: server control, jobs without a network, jobs with loopback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the grader decides; and no program can interrupt a supervisor
    syscalls.set_command_line(COMMAND_LINE)
    sys.orig_argv[:] = COMMAND_LINE
    settings["nice"] = supervisor.take_precedence()
    control = sockets[0]
    if settings["isolated"]:
        try:
            namespaces.enter(settings["readable"])
        except OSError as error:
            _refuse(control, error)
            return
        if inner := os.fork():
            for one in sockets:
                one.close()
            os.waitpid(inner, 0)
            return
    try:
        if settings["isolated"]:
            _check_isolation(control)
        _serve(sockets, settings, {"isolated": settings["isolated"]})
    finally:
        os._exit(0)


def _refuse(control: socket.socket, error: object) -> None:
    control.sendall(json.dumps({"refused": str(error)}).encode() + b"\n")


def _check_isolation(control: socket.socket) -> None:
    """In process 1 of the new namespaces: finish the root, and isolate one process of each kind as a trial.

    Reports what this machine refuses and ends.
    """
    try:
        namespaces.finish_root()
        syscalls.die_with_parent()  # after the change of identity, which clears it
        for network in (False, True):
            _try_isolation(namespaces.process_namespaces(network=network))
    except OSError as error:
        _refuse(control, error)
        os._exit(0)


def _try_isolation(flags: int) -> None:
    """Isolate one process as those for programs will be; raises OSError with what failed."""
    failed, writes = os.pipe()
    child = syscalls.fork_into(flags)
    if child == 0:
        try:
            namespaces.isolate_process((os.geteuid(), os.getegid()), flags)
            syscalls.drop_privileges()
        except BaseException as error:
            os.write(writes, f"{error}".encode()[:500])
        finally:
            os._exit(0)
    os.close(writes)
    with open(failed, "rb") as file:
        if not select.select([file], [], [], TRIAL_SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            raise TimeoutError(f"a process in new namespaces did nothing for {TRIAL_SECONDS:g} s")
        failure = file.read().decode()
    _, status = os.waitpid(child, 0)
    if failure or status:
        raise OSError(failure or f"a process in new namespaces ended with status {status}")


def _serve(sockets: list[socket.socket], settings: dict[str, Any], layers: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(run_program.ENVIRONMENT)
    for name in (*PRELOADED, *settings["preload"]):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(Exception):
        exec(settings["warm_up"], {})
    layers["slowdown"] = max(1.0, min(_time_calibration() for _ in range(3)) / REFERENCE_SECONDS)
    filters = [seccomp.build_filter(sockets=allowed) for allowed in (False, True)]
    layers["seccomp"] = all(filters)
    kinds = {
        mark: ProcessKind(
            mark,
            jobs,
            namespaces.process_namespaces(network=mark == NETWORK or not code),
            syscalls.SeccompFilter(code) if code else None,
        )
        for mark, jobs, code in zip((NO_NETWORK, NETWORK), sockets[1:], filters, strict=True)
    }
    for name in [name for name in sys.modules if name.split(".")[0] == "z1"]:
        del sys.modules[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    run_program.open_standard_files()
    NamespacePool(layers, kinds, (os.geteuid(), os.getegid()), settings).serve(sockets[0])


def _time_calibration() -> float:
    """CPU seconds of the calibration loop; other processes do not count."""
    start = time.process_time()
    total = 0
    for number in range(CALIBRATION_STEPS):
        total += number & 3
    return time.process_time() - start


class NamespacePool:
    """Keeps `ready` sandbox processes waiting, of each kind that was requested."""

    def __init__(
        self,
        layers: dict[str, Any],
        kinds: dict[bytes, ProcessKind],
        user_group: tuple[int, int],
        settings: dict[str, Any],
    ) -> None:
        self._layers, self._kinds, self._user_group = layers, kinds, user_group
        self._ready, self._nice = settings["ready"], settings["nice"]
        self._taken_read, self._taken_write = os.pipe()

    def serve(self, control: socket.socket) -> None:
        """Report the layers, then replace each process that took a job, until `control` is closed."""
        gc.collect()
        gc.freeze()
        for _ in range(self._ready):
            self._fork(self._kinds[NO_NETWORK], control)
        control.sendall(json.dumps(self._layers).encode() + b"\n")
        poll = select.poll()
        for number in (control.fileno(), self._taken_read):
            poll.register(number, select.POLLIN)
        while True:
            for number, _ in poll.poll():
                marks = control.recv(1) if number == control.fileno() else os.read(self._taken_read, 64)
                if not marks:
                    return
                for mark in marks:
                    self._fork(self._kinds[bytes([mark])], control)

    def _fork(self, kind: ProcessKind, control: socket.socket) -> None:
        try:
            child = syscalls.fork_into(kind.flags) if self._layers["isolated"] else syscalls.fork()
        except OSError as error:
            _reject_job(kind.jobs, f"no sandbox process: {error}")
            os.write(self._taken_write, kind.mark)
            return
        if child:
            return
        try:
            control.close()
            self._run_supervisor(kind)
        except BaseException as error:
            _reject_job(kind.jobs, f"no sandbox process: {type(error).__name__}: {error}")
            os.write(self._taken_write, kind.mark)
        finally:
            os._exit(1)

    def _run_supervisor(self, kind: ProcessKind) -> None:
        """In process 1 of a sandbox process. Does not return."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self._layers["isolated"]:
            namespaces.isolate_process(self._user_group, kind.flags)
        syscalls.drop_privileges()
        syscalls.set_dumpable(False)
        if kind.seccomp is not None:
            kind.seccomp.install()
        control = _take_job(kind.jobs)
        os.write(self._taken_write, kind.mark)
        os.close(self._taken_write)
        for one in self._kinds.values():
            one.jobs.close()
        supervisor.supervise(control, _run_job, self._nice)


def _take_job(jobs: socket.socket) -> socket.socket:
    """Wait for a job and return its control socket; ends the process when `jobs` is closed."""
    _, descriptors, _, _ = socket.recv_fds(jobs, 1, 1)
    if not descriptors:
        os._exit(0)
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptors[0])


def _reject_job(jobs: socket.socket, error: str) -> None:
    """Take a job and report that it cannot be run."""
    with contextlib.suppress(OSError), _take_job(jobs) as control:
        control.sendall(json.dumps({"end": "sandbox", "error": error}).encode() + b"\n")


def _run_job(descriptors: list[int], job: dict[str, Any], started: int) -> None:
    """In the program's own process: keep only its descriptors and environment, report the start, and run it."""
    for target, number in enumerate(descriptors):
        os.dup2(number, target + 100)
    os.dup2(started, 104)
    for target in range(4):
        os.dup2(target + 100, target, inheritable=target < 3)
    if "random" in job["code"]:
        random.seed()
    os.write(104, supervisor.STARTED)
    os.closerange(4, 256)
    try:
        JOB_KINDS[job["kind"]](job)
    except BaseException as error:
        os.write(2, "".join(traceback.format_exception(error)).encode())
    finally:
        os._exit(1)
