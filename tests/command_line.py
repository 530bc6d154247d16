"""The smallest recipe of a whole run, and a runner of the command line, for tests."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"

MICRO = """
name = "micro"
seed = 3
[curate]
problems = 80
steps = [1, 6]
direct_up_to = 2
compact_up_to = 4
[model]
vocabulary = 320
hidden = 32
layers = 1
heads = 2
key_value_heads = 1
feed_forward = 32
context = 256
[train]
epochs = 1.0
batch_tokens = 1000
muon_lr = 0.01
adamw_lr = 0.003
warmup_steps = 2
decay_share = 0.5
hint_share = 0.1
checkpoint_seconds = 1
[evaluate]
problems = 12
thinking_budgets = [0, 4, 16]
max_answer_tokens = 8
concurrency = 8
[report]
title = "micro"
transcripts = 4
"""

ARM = """
name = "{name}"
seed = 3
base = "{base}"
[curate]
problems = 24
steps = [1, 6]
level = "{level}"
direct_up_to = 2
compact_up_to = 4
[train]
train_tokens = 2000
batch_tokens = 1000
muon_lr = 0.01
adamw_lr = 0.003
warmup_steps = 1
decay_share = 1.0
[evaluate]
problems = 4
thinking_budgets = [4]
max_answer_tokens = 8
[report]
title = "arm"
"""
"""A recipe that trains from a base; format it with name, base and arm."""


def recipe(folder: Path, text: str = MICRO) -> Path:
    path = folder / "micro.toml"
    path.write_text(text, encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def z1_alone(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in an interpreter of its own."""
    command = [sys.executable, "-m", "z1.cli.main", *map(str, arguments)]
    settings = {"capture_output": True, "text": True, "timeout": 110, "env": environment(), **options}
    return subprocess.run(command, check=False, **settings)  # type: ignore[call-overload,no-any-return]


def z1(*arguments: str | Path, cwd: Path | str = ".", input: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a fork of a process that has z1 loaded."""
    return _in_fork("", *arguments, cwd=cwd, input=input)


def python(script: Path, *arguments: str | Path, cwd: Path | str = ".") -> subprocess.CompletedProcess[str]:
    """Run a Python script in a fork of a process that has z1 loaded."""
    return _in_fork(script.absolute(), *arguments, cwd=cwd)


def _in_fork(
    script: Path | str, *arguments: str | Path, cwd: Path | str, input: str = ""
) -> subprocess.CompletedProcess[str]:
    request = [str(Path(cwd).absolute()), str(script), *map(str, arguments)]
    with ExitStack() as stack:
        given, out, error = (stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3))
        given.write(input)
        given.seek(0)
        server = _fork_server()
        socket.send_fds(server, [json.dumps(request).encode()], [file.fileno() for file in (given, out, error)])
        status = json.loads(server.recv(64))
        for file in (out, error):
            file.seek(0)
        return subprocess.CompletedProcess(request[1:], status, out.read(), error.read())


@cache
def _fork_server() -> socket.socket:
    """The server ends when this process ends, which closes its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(110)
    command = [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())]
    settings = {**environment(), "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, SOURCE.parent)))}
    with theirs:
        process = subprocess.Popen(command, env=settings, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours
