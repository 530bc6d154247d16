"""How does a program that a model wrote run without harm, and thousands of them soon?

A `Sandbox` starts one warm server behind walls (see `inside/`) and hands it jobs; each runs alone in namespaces of its
own, with real pipes for its standard files. What a program did is an `Outcome` and never an exception; where the
sandbox itself fails, `SandboxFault` is raised, and the answer that was to be checked is *missing*, not wrong.

`strict`, the default, refuses to start where Linux does not give the isolation, and says what to do. There is no
fallback: running with limits only has to be asked for by name, and `layers` says that it was. Linux only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from z1.errors import Fault, UserError
from z1.sandbox.pipes import Pipes

PATIENCE = 10.0
"""Seconds beyond all its limits after which a run's keeper is held to be dead."""

WAITING = 10
"""How many times its wall limit a program may wait for a processor that others have; that time is not its own."""

BOOT = """
import json, socket, sys, types
folder, numbers, settings = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
for name in ("z1", "z1.sandbox"):
    module = types.ModuleType(name)
    module.__path__ = [folder + "/" + name.replace(".", "/")]
    sys.modules[name] = module
from z1.sandbox.inside import forkserver
forkserver.main([socket.socket(fileno=number) for number in numbers], settings)
"""
"""Starts the server without running the `__init__` of packages that the interpreter of the programs may not have."""


AHEAD, SMALL = 3, 1 << 16
"""Inputs that are handed in before the first of them is done, if they have at most so many bytes: a pipe's worth."""

READY = 2
"""Rooms that wait for a job."""


class SandboxFault(Fault):
    """The sandbox failed; nothing is known of the program."""


class ProgramEnd(StrEnum):
    """How a program ended."""

    EXITED = "exited"
    """By itself, with status 0."""
    CRASHED = "crashed"
    """By itself with another status, or by a signal."""
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"
    """It wrote more than it may."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What a program may use. Seconds are those of a usual machine; `Sandbox` stretches them where this one is slow."""

    wall_seconds: float = 10.0
    """Seconds by the clock, for all its processes, without those in which it waited for a processor (see `WAITING`)."""
    cpu_seconds: float = 10.0
    """Seconds of computing, for each process; rounded up to whole ones."""
    memory_bytes: int = 1 << 30
    """Bytes that all its processes hold together; looked at every 50 ms."""
    address_space_bytes: int = 4 << 30
    """Bytes of address space of each process."""
    file_bytes: int = 64 << 20
    """Bytes of one file, and of all files in /tmp together."""
    max_processes: int = 32
    output_bytes: int = 16 << 20
    """Bytes on stdout, on stderr, and of results."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to run: `kind` is "program", "calls" or "units", and `extra` what that kind wants to know."""

    kind: str
    code: str
    stdin: bytes = b""
    extra: dict[str, Any] = field(default_factory=dict)
    limits: ResourceLimits = ResourceLimits()
    network: bool = False
    """Whether it may make sockets; they reach nothing but its own loopback."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job did. `code` is its exit status, negative for a signal; times in seconds, memory in bytes."""

    end: ProgramEnd
    exit_code: int
    stdout: bytes
    stderr: bytes
    result: bytes
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


class Sandbox:
    """A place for programs; runs many at once from many threads. Use it in a `with` statement, or `close` it."""

    def __init__(
        self,
        python: str | Path | None = None,
        *,
        shown: Sequence[str | Path] = (),
        warm: Sequence[str] = (),
        strict: bool = True,
    ) -> None:
        """`python` runs the programs (z1's own where None is given), `shown` are further files and folders that they
        may read, `warm` further modules to load once.
        """
        self.python = str(python or sys.executable)
        self._shown = [str(Path(path).absolute()) for path in shown]
        self._warm, self._strict = list(warm), strict
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._sockets: list[socket.socket] = []
        self._networked = False
        self.layers: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the server, if it does not run. Raises UserError where this machine gives no isolation."""
        with self._lock:
            if self._server is not None and self._server.poll() is None:
                return
            self._drop()
            if not sys.platform.startswith("linux"):
                raise UserError("a sandbox for programs", sys.platform, "grade on Linux; namespaces exist nowhere else")
            shown = [*_prefixes(self.python), *self._shown]
            pairs = [socket.socketpair(), *(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))]
            self._sockets = [ours for ours, _ in pairs]
            self._networked = False
            self._server = self._launch([theirs for _, theirs in pairs], shown)
            self.layers = self._greeting()

    def _launch(self, theirs: list[socket.socket], shown: list[str]) -> subprocess.Popen[bytes]:
        settings = {"isolated": self._strict, "shown": shown, "warm": self._warm, "ready": READY}
        numbers = [one.fileno() for one in theirs]
        source = str(Path(__file__).parent.parent.parent)
        command = [self.python, "-I", "-c", BOOT, source, json.dumps(numbers), json.dumps(settings)]
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(
            command, pass_fds=numbers, env=_ENV | _FIXED, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE
        )
        for one in theirs:
            one.close()
        return server

    def _greeting(self) -> dict[str, Any]:
        assert self._server is not None
        with self._sockets[0].makefile("rb") as file:
            line = file.readline()
        said: dict[str, Any] = json.loads(line) if line else {}
        if "refused" in said:
            self._drop()
            raise UserError("a sandbox for programs", said["refused"], _ADVICE)
        if not said:
            _, error = self._server.communicate()
            last = error.decode(errors="replace").strip().splitlines()[-1:]
            self._drop()
            raise SandboxFault(f"the server of the sandbox did not start: {' '.join(last) or 'no reason given'}")
        return said

    def close(self) -> None:
        """End the server and with it every program; closing twice is no fault."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        for one in self._sockets:
            one.close()
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            if self._server.stderr:
                self._server.stderr.close()
        self._sockets, self._server = [], None

    def run(self, job: Job) -> Outcome:
        """Run `job` on its own stdin. Raises SandboxFault where the sandbox fails."""
        with self.open_process(job) as process:
            return process.run(job.stdin)

    def open_process(self, job: Job) -> SandboxProcess:
        """A room for the program of `job`, to run it on one input after the other. Use it in a `with` statement.

        The inputs share /tmp and nothing else.
        """
        self.start()
        slowness = self.layers["slowness"]
        wall, cpu = job.limits.wall_seconds * slowness, job.limits.cpu_seconds * slowness
        limits = {**asdict(job.limits), "wall_seconds": wall, "cpu_seconds": cpu, "waiting": WAITING * wall}
        return SandboxProcess({**job.extra, **limits, "kind": job.kind, "code": job.code}, self._lease(job.network))

    def _lease(self, network: bool) -> socket.socket:
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            try:
                if network and not self._networked:
                    self._sockets[0].sendall(b"n")  # from now on a room with a network is kept ready
                    self._networked = True
                socket.send_fds(self._sockets[1 + network], [b"+"], [theirs.fileno()])
            except (OSError, IndexError) as error:
                ours.close()
                self._drop()
                raise SandboxFault(f"the server of the sandbox is gone ({error})") from None
        return ours


class SandboxProcess:
    """Where one program runs, on one input after the other. Not for use by two threads at once."""

    def __init__(self, order: dict[str, Any], leash: socket.socket) -> None:
        self._order: dict[str, Any] | None = order
        self._patience = order["wall_seconds"] + order["waiting"] + PATIENCE
        self._most = order["output_bytes"]
        self._leash, self._heard = leash, bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leash.close()

    def run(self, stdin: bytes) -> Outcome:
        """Run the program on `stdin`; `ProgramEnd.OUTPUT` uses it up. Raises SandboxFault."""
        return next(self.run_each([stdin]))

    def run_each(self, inputs: Iterable[bytes]) -> Iterator[Outcome]:
        """Run the program on each of `inputs`; some begin before they are asked for. Raises SandboxFault."""
        begun: deque[Pipes] = deque()
        left = deque(inputs)
        try:
            while left or begun:
                while left and (not begun or (len(begun) < AHEAD and len(left[0]) <= SMALL)):
                    begun.append(self._begin(left.popleft()))
                with contextlib.closing(begun.popleft()) as pipes:
                    why = pipes.exchange(self._most, time.monotonic() + self._patience)
                    outcome = _outcome(pipes, why)
                yield outcome
        except OSError as error:
            raise SandboxFault(f"a program was lost: {error}") from None
        finally:
            for pipes in begun:
                pipes.close()

    def _begin(self, stdin: bytes) -> Pipes:
        if self._order is not None:
            order, self._order = json.dumps(self._order).encode(), None
            self._leash.sendall(b"%d\n" % len(order) + order)
        pipes = Pipes(self._leash, self._heard, stdin)
        try:
            pipes.hand_over()
        except OSError:
            pipes.close()
            raise
        return pipes


def _outcome(pipes: Pipes, why: str) -> Outcome:
    out, err, result = map(bytes, pipes.said)
    said = pipes.report
    if why == "output":
        return Outcome(ProgramEnd.OUTPUT, -9, out, err, result)
    if why == "silence" or not said or said["why"] == "sandbox":
        raise SandboxFault(f"a program was lost: {said.get('error', why or 'its keeper ended without a report')}")
    code = said["code"]
    end = (
        ProgramEnd(said["why"])
        if said["why"] in ("time", "memory")
        else ProgramEnd.CRASHED
        if code
        else ProgramEnd.EXITED
    )
    if end is ProgramEnd.CRASHED and b"MemoryError" in err[-400:]:
        end = ProgramEnd.MEMORY
    return Outcome(end, code, out, err, result, said["seconds"], said["cpu"], said["memory"])


_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_FIXED = {"LD_BIND_NOW": "1"}
"""Names are looked up once, before the first fork: each fork that looks one up copies pages."""

_ADVICE = (
    "allow user namespaces (sysctl user.max_user_namespaces=15000; on Ubuntu 24.04 "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container --privileged), with Linux 5.12 or later"
)


def _prefixes(python: str) -> list[str]:
    """The folders that an interpreter consists of."""
    ask = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix]))"
    try:
        done = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=True, env=_ENV)
    except (OSError, subprocess.CalledProcessError):
        raise UserError("the interpreter for programs", python, "give the path of a Python 3.11 or later") from None
    found = set(json.loads(done.stdout))
    return sorted(found | {os.path.realpath(path) for path in found}, key=len)
