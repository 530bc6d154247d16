"""The sandbox: runs programs written by a model, isolated and under limits.

A `Sandbox` starts one warm fork server in namespaces of its own (see `inside/`) and sends it jobs. Each job runs alone
in further namespaces, with real pipes for its standard files. The result of a program is an `Outcome`, never an
exception. If the sandbox itself fails, it raises `SandboxFault`; the grade is then *missing*, not wrong.

In `strict` mode, the default, a sandbox refuses to start without isolation by Linux, with advice. There is no fallback:
`strict=False` has to be chosen, runs with limits and the seccomp filter only, and shows in `layers`. Linux only.
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
from z1.sandbox.control_groups import ControlGroup, ControlGroups
from z1.sandbox.pipes import Pipes

SUPERVISOR_TIMEOUT = 10.0
"""Seconds beyond all limits of a run after which its supervisor counts as dead."""

MAX_WAITING_FACTOR = 10
"""Maximum wait for a busy processor, as a multiple of the wall limit; the wait does not count against that limit."""

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
"""Starts the fork server without the `__init__` of z1's packages, whose imports its interpreter may not have."""

MAX_RUNS_AHEAD, SMALL_INPUT = 3, 1 << 16
"""Maximum runs that are started together, and maximum bytes of the input of each, which must fit in a pipe."""

START_SECONDS, TRIAL_SECONDS = 300.0, 4.0
"""Maximum seconds until the fork server has loaded its modules, and of the program that is then run as a trial."""

READY_PROCESSES = 2
"""Sandbox processes that wait for a job."""


class SandboxFault(Fault):
    """The sandbox failed; nothing is known about the program."""


class ProgramEnd(StrEnum):
    """How a program ended."""

    EXITED = "exited"
    """It ended by itself, with status 0."""
    CRASHED = "crashed"
    """It ended by itself with another status, or by a signal."""
    TIME = "time"
    """It exceeded `wall_seconds` or `cpu_seconds`."""
    MEMORY = "memory"
    """It exceeded `memory_bytes`, or a MemoryError ended it."""
    OUTPUT = "output"
    """It exceeded `output_bytes`."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """The limits of a program. Seconds are those of the reference machine; `Sandbox` extends them on a slower one."""

    wall_seconds: float = 10.0
    """Wall time of all its processes, without waiting for a processor (see `MAX_WAITING_FACTOR`)."""
    cpu_seconds: float = 10.0
    """CPU time of each process, rounded up to whole seconds."""
    memory_bytes: int = 1 << 30
    """Memory of all its processes and files together, without shared files (see `inside/memory.py`); checked before
    a program can have filled what is left, at least every 50 ms.
    """
    address_space_bytes: int = 4 << 30
    """Address space of each process."""
    file_bytes: int = 64 << 20
    """Size of one file. All files in /tmp together are limited to 256 MiB (see `inside/namespaces.py`)."""
    max_processes: int = 32
    output_bytes: int = 16 << 20
    """Length of each of stdout, stderr and results."""


@dataclass(frozen=True, slots=True)
class Job:
    """A program to run. `kind` is "program", "function" or "unit_tests"; `extra` has the fields of that kind."""

    kind: str
    code: str
    stdin: bytes = b""
    extra: dict[str, Any] = field(default_factory=dict)
    limits: ResourceLimits = ResourceLimits()
    network: bool = False
    """Whether it may open sockets; they reach only a loopback interface of its own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run. `exit_code` is negative for a signal; `result` has the bytes from the results pipe."""

    end: ProgramEnd
    exit_code: int
    stdout: bytes
    stderr: bytes
    result: bytes
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


class Sandbox:
    """Runs programs; many threads may use it at once. Use it in a `with` statement, or `close` it."""

    def __init__(
        self,
        python: str | Path | None = None,
        *,
        readable: Sequence[str | Path] = (),
        preload: Sequence[str] = (),
        warm_up: str = "",
        strict: bool = True,
    ) -> None:
        """`python` is the interpreter of the programs (None for z1's own), `readable` are further files and folders
        that they may read, `preload` further modules to load once, and `warm_up` source to run once after that: what
        it leaves in memory is there in every process. A failure of either is not reported; the job itself will fail.
        """
        self.python = str(python or sys.executable)
        self._readable = [str(Path(path).absolute()) for path in readable]
        self._preload, self._warm_up, self._strict = list(preload), warm_up, strict
        self._lock = threading.RLock()
        self._server: subprocess.Popen[bytes] | None = None
        self._sockets: list[socket.socket] = []
        self._networked = False
        self._groups = ControlGroups()
        self.layers: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the fork server, if it is not running. Raises UserError if this machine provides no isolation."""
        with self._lock:
            if self._server is not None and self._server.poll() is None:
                return
            self._drop()
            if not sys.platform.startswith("linux"):
                raise UserError("the sandbox", sys.platform, "grade on Linux; other systems have no namespaces")
            has_groups = self._groups.check()
            readable = [*_prefixes(self.python), *self._readable]
            pairs = [socket.socketpair(), *(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))]
            self._sockets = [ours for ours, _ in pairs]
            self._networked = False
            self._server = self._launch([theirs for _, theirs in pairs], readable)
            self.layers = {**self._read_layers(), "control_groups": has_groups}
            self._run_trial()

    def _run_trial(self) -> None:
        """Run one real program; raises UserError if it fails."""
        try:
            with self.open_process(Job("program", "print(6 * int(input()))")) as process:
                outcome = process.run(b"7\n", timeout=TRIAL_SECONDS)
            failure = "" if outcome.stdout == b"42\n" else outcome.stderr.decode(errors="replace")[-200:] or outcome.end
        except SandboxFault as fault:
            failure = str(fault)
        if failure:
            self._drop()
            raise UserError("the sandbox", f"a first program failed: {failure}", _ADVICE)

    def _launch(self, sockets: list[socket.socket], readable: list[str]) -> subprocess.Popen[bytes]:
        settings = {
            "isolated": self._strict,
            "readable": readable,
            "preload": self._preload,
            "warm_up": self._warm_up,
            "ready": READY_PROCESSES,
        }
        numbers = [one.fileno() for one in sockets]
        source = str(Path(__file__).parent.parent.parent)
        command = [self.python, "-I", "-c", BOOT, source, json.dumps(numbers), json.dumps(settings)]
        null = subprocess.DEVNULL
        server = subprocess.Popen(
            command,
            pass_fds=numbers,
            env=_ENVIRONMENT | _EAGER_BINDING,
            stdin=null,
            stdout=null,
            stderr=subprocess.PIPE,
        )
        for one in sockets:
            one.close()
        return server

    def _read_layers(self) -> dict[str, Any]:
        assert self._server is not None
        line = self._read_line()
        layers: dict[str, Any] = json.loads(line) if line else {}
        if "refused" in layers:
            self._drop()
            raise UserError("the sandbox", layers["refused"], _ADVICE)
        if not layers:
            self._server.kill()
            _, error = self._server.communicate()
            last = error.decode(errors="replace").strip().splitlines()[-1:]
            self._drop()
            raise SandboxFault(f"the fork server of the sandbox did not start: {' '.join(last) or 'no error message'}")
        return layers

    def _read_line(self) -> bytes:
        """The first line of the fork server; "" if it ended or says nothing for `START_SECONDS`."""
        line = b""
        self._sockets[0].settimeout(START_SECONDS)
        with contextlib.suppress(TimeoutError):
            while not line.endswith(b"\n") and (data := self._sockets[0].recv(1 << 16)):
                line += data
        self._sockets[0].settimeout(None)
        return line if line.endswith(b"\n") else b""

    def close(self) -> None:
        """End the fork server and with it every program; closing twice is allowed."""
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
        self._groups.remove_empty()

    def run(self, job: Job) -> Outcome:
        """Run `job` on its own stdin. Raises SandboxFault if the sandbox fails."""
        with self.open_process(job) as process:
            return process.run(job.stdin)

    def open_process(self, job: Job) -> SandboxProcess:
        """A sandbox process for the program of `job`, to run it on several inputs. Use it in a `with` statement.

        The runs share /tmp and nothing else.
        """
        self.start()
        slowdown = self.layers["slowdown"]
        wall, cpu = job.limits.wall_seconds * slowdown, job.limits.cpu_seconds * slowdown
        limits = {
            **asdict(job.limits),
            "wall_seconds": wall,
            "cpu_seconds": cpu,
            "max_waiting_seconds": MAX_WAITING_FACTOR * wall,
        }
        settings = {**job.extra, **limits, "kind": job.kind, "code": job.code}
        control = self._connect(job.network)
        try:
            with self._lock:
                return SandboxProcess(settings, control, self._groups.make(job.limits.memory_bytes))
        except OSError as error:
            control.close()
            raise SandboxFault(f"no control group: {error}") from None

    def _connect(self, network: bool) -> socket.socket:
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            try:
                if network and not self._networked:
                    self._sockets[0].sendall(b"n")  # from now on a process with a network is kept ready
                    self._networked = True
                socket.send_fds(self._sockets[1 + network], [b"+"], [theirs.fileno()])
            except (OSError, IndexError) as error:
                ours.close()
                self._drop()
                raise SandboxFault(f"the fork server of the sandbox ended ({error})") from None
        return ours


class SandboxProcess:
    """Runs one program on several inputs. Not for use by two threads at once."""

    def __init__(self, job: dict[str, Any], control: socket.socket, group: ControlGroup) -> None:
        self._group = group
        self._unsent_job: dict[str, Any] | None = job
        self._timeout = job["wall_seconds"] + job["max_waiting_seconds"] + SUPERVISOR_TIMEOUT
        self._max_output = job["output_bytes"]
        self._control, self._unread = control, bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._group.close()

    def run(self, stdin: bytes, timeout: float = 0.0) -> Outcome:
        """Run the program on `stdin`; after `ProgramEnd.OUTPUT` the process cannot run again. Raises SandboxFault, with
        a `timeout` also after so many seconds.
        """
        self._timeout = timeout or self._timeout
        return next(self.run_each([stdin]))

    def run_each(self, inputs: Iterable[bytes]) -> Iterator[Outcome]:
        """Run the program on each of `inputs`; some runs start ahead of the iteration. Raises SandboxFault."""
        started: deque[Pipes] = deque()
        waiting = deque(inputs)
        try:
            while waiting or started:
                while waiting and (not started or (len(started) < MAX_RUNS_AHEAD and len(waiting[0]) <= SMALL_INPUT)):
                    started.append(self._start(waiting.popleft()))
                with contextlib.closing(started.popleft()) as pipes:
                    stopped = pipes.communicate(self._max_output, time.monotonic() + self._timeout)
                    outcome = _outcome(pipes, stopped)
                yield outcome
        except OSError as error:
            raise SandboxFault(f"a program was lost: {error}") from None
        finally:
            for pipes in started:
                pipes.close()

    def _start(self, stdin: bytes) -> Pipes:
        if self._unsent_job is not None:
            job, self._unsent_job = json.dumps(self._unsent_job).encode(), None
            socket.send_fds(self._control, [b"%d\n" % len(job)], self._group.descriptors)
            self._control.sendall(job)
        pipes = Pipes(self._control, self._unread, stdin)
        try:
            pipes.send()
        except OSError:
            pipes.close()
            raise
        return pipes


def _outcome(pipes: Pipes, stopped: str) -> Outcome:
    stdout, stderr, result = map(bytes, pipes.received)
    report = pipes.report
    if stopped == "output":
        return Outcome(ProgramEnd.OUTPUT, -9, stdout, stderr, result)
    if stopped == "timeout" or not report or report["end"] == "sandbox":
        error = report.get("error", stopped or "the supervisor ended without a report")
        raise SandboxFault(f"a program was lost: {error}")
    code = report["exit_code"]
    end = (
        ProgramEnd(report["end"])
        if report["end"] in ("time", "memory")
        else ProgramEnd.CRASHED
        if code
        else ProgramEnd.EXITED
    )
    if end is ProgramEnd.CRASHED and b"MemoryError" in stderr[-400:]:
        end = ProgramEnd.MEMORY
    usage = (report["wall_seconds"], report["cpu_seconds"], report["peak_memory_bytes"])
    return Outcome(end, code, stdout, stderr, result, *usage)


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_EAGER_BINDING = {"LD_BIND_NOW": "1"}
"""Symbols are resolved before the first fork: each fork that resolves one copies pages."""

_ADVICE = (
    "allow user namespaces (sysctl user.max_user_namespaces=15000; on Ubuntu 24.04 "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container --privileged, or podman's "
    "--security-opt unmask=ALL), with Linux 5.12 or later"
)


def _prefixes(python: str) -> list[str]:
    """The folders of an interpreter."""
    code = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix]))"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True, env=_ENVIRONMENT)
    except (OSError, subprocess.CalledProcessError):
        raise UserError("the interpreter for programs", python, "give the path of a Python 3.11 or later") from None
    found = set(json.loads(done.stdout))
    return sorted(found | {os.path.realpath(path) for path in found}, key=len)
