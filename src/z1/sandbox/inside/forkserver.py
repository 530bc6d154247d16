"""How does a program start in milliseconds and still alone?

A warm interpreter behind the walls keeps a few rooms ready: each is a fork of it in namespaces of its own, with a
keeper that waits for one job. A job begins with a leash, which comes over a socket that all waiting rooms share; over
the leash come the order, and then the descriptors of stdin, stdout, stderr and results for each input. A room is used
for one program. Nothing of it reaches the next, since each room begins as a fork of what the server was. Which layers
of protection hold is told once, at the start.
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

from z1.sandbox.inside import namespaces, run_function, run_program, run_unit_tests, seccomp, supervisor, syscalls

WARM = [
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
"""Modules that a program finds loaded; it has to import them all the same."""

KINDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "program": run_program.run,
    "calls": run_function.run,
    "units": run_unit_tests.run,
}

LAP = 200_000
USUAL_LAP = 0.016
"""Seconds that the lap below takes on the machine on which the limits were chosen."""

PLAIN, NETWORK = b"-", b"n"


@dataclass(frozen=True)
class Kind:
    """One kind of room: over which socket its jobs come, and what holds in it."""

    mark: bytes
    jobs: socket.socket
    flags: int
    sieve: syscalls.Filter | None


def main(sockets: list[socket.socket], settings: dict[str, Any]) -> None:
    """Serve until the other ends are closed. `sockets`: control, jobs without and with a network of their own."""
    control = sockets[0]
    layers: dict[str, Any] = {"isolated": settings["isolated"], "processes": False}
    if settings["isolated"]:
        try:
            namespaces.enter(settings["shown"])
        except OSError as error:
            control.sendall(json.dumps({"refused": str(error)}).encode() + b"\n")
            return
        if inner := os.fork():
            for one in sockets:
                one.close()
            os.waitpid(inner, 0)
            return
        layers["processes"] = namespaces.settle()
        syscalls.die_with_parent()  # after taking another identity, which undoes it
    try:
        _serve(sockets, settings, layers)
    finally:
        os._exit(0)


def _serve(sockets: list[socket.socket], settings: dict[str, Any], layers: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(run_program.SURROUNDINGS)
    for name in (*WARM, *settings["warm"]):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    layers["slowness"] = max(1.0, min(_lap() for _ in range(3)) / USUAL_LAP)
    sieves = [seccomp.program(sockets=allowed) for allowed in (False, True)]
    layers["filter"] = all(sieves)
    kinds = {
        mark: Kind(mark, jobs, namespaces.flags(network=own or not sieve), syscalls.Filter(sieve) if sieve else None)
        for mark, jobs, own, sieve in zip((PLAIN, NETWORK), sockets[1:], (False, True), sieves, strict=True)
    }
    for name in [name for name in sys.modules if name.split(".")[0] == "z1"]:
        del sys.modules[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    run_program.files()
    NamespacePool(layers, kinds, (os.geteuid(), os.getegid()), settings["ready"]).serve(sockets[0])


def _lap() -> float:
    """Seconds of computing, so that others who compute do not count."""
    began = time.process_time()
    total = 0
    for number in range(LAP):
        total += number & 3
    return time.process_time() - began


class NamespacePool:
    """Keeps `ready` rooms of each kind that was asked for."""

    def __init__(self, layers: dict[str, Any], kinds: dict[bytes, Kind], outer: tuple[int, int], ready: int) -> None:
        self._layers, self._kinds, self._outer, self._ready = layers, kinds, outer, ready
        self._taken, self._take = os.pipe()

    def serve(self, control: socket.socket) -> None:
        """Say what holds, and replace each room that was taken, until `control` is closed."""
        gc.collect()
        gc.freeze()
        for _ in range(self._ready):
            self._make(self._kinds[PLAIN], control)
        control.sendall(json.dumps(self._layers).encode() + b"\n")
        poll = select.poll()
        for number in (control.fileno(), self._taken):
            poll.register(number, select.POLLIN)
        while True:
            for number, _ in poll.poll():
                asked = control.recv(1) if number == control.fileno() else os.read(self._taken, 64)
                if not asked:
                    return
                for mark in asked:
                    self._make(self._kinds[bytes([mark])], control)

    def _make(self, kind: Kind, control: socket.socket) -> None:
        try:
            child = syscalls.fork_into(kind.flags) if self._layers["isolated"] else syscalls.fork()
        except OSError as error:
            _refuse(kind.jobs, f"no room: {error}")
            os.write(self._take, kind.mark)
            return
        if child:
            return
        try:
            control.close()
            self._live(kind)
        except BaseException as error:
            _refuse(kind.jobs, f"no room: {type(error).__name__}: {error}")
            os.write(self._take, kind.mark)
        finally:
            os._exit(1)

    def _live(self, kind: Kind) -> None:
        """In the room's first process. Does not return."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self._layers["isolated"]:
            namespaces.partition(self._outer, kind.flags, processes=self._layers["processes"])
        syscalls.drop_privileges()
        syscalls.be_dumpable(False)
        if kind.sieve is not None:
            kind.sieve.install()
        leash = _taken(kind.jobs)
        os.write(self._take, kind.mark)
        os.close(self._take)
        for one in self._kinds.values():
            one.jobs.close()
        supervisor.keep(leash, _become)


def _taken(jobs: socket.socket) -> socket.socket:
    """Wait for a job; where there are none any more, end."""
    _, given, _, _ = socket.recv_fds(jobs, 1, 1)
    if not given:
        os._exit(0)
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=given[0])


def _refuse(jobs: socket.socket, why: str) -> None:
    """Take a job only to say that it cannot be done."""
    with contextlib.suppress(OSError), _taken(jobs) as leash:
        leash.sendall(json.dumps({"why": "sandbox", "error": why}).encode() + b"\n")


def _become(given: list[int], job: dict[str, Any], begins: int) -> None:
    """In the program's own process: only its descriptors and its own surroundings are left; say so, and run it."""
    for target, number in enumerate(given):
        os.dup2(number, target + 100)
    os.dup2(begins, 104)
    for target in range(4):
        os.dup2(target + 100, target, inheritable=target < 3)
    os.chdir("/tmp")
    if "random" in job["code"]:
        random.seed()
    os.write(104, supervisor.BEGUN)
    os.closerange(4, 256)
    try:
        KINDS[job["kind"]](job)
    except BaseException as error:
        os.write(2, "".join(traceback.format_exception(error)).encode())
    finally:
        os._exit(1)
