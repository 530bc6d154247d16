"""Starts the process of `worker.py` and observes its state.

The worker imports from the same folders as this process, but not from the current one by accident: a `random.py` of
the folder in which a server is started must not run.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def start_process(worker_socket: socket.socket) -> subprocess.Popen[bytes]:
    """The worker process, in a session of its own, so that a terminal's Ctrl-C does not reach it."""
    descriptor = worker_socket.fileno()
    return subprocess.Popen(
        [sys.executable, "-P", "-c", f"from z1.engines.local.worker import run_worker; run_worker({descriptor})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(import_path())},
        stdin=subprocess.DEVNULL,
        pass_fds=[descriptor],
        start_new_session=True,
    )


def import_path() -> list[str]:
    """`sys.path` without the current folder that `python -m`, `python -c` and the interactive mode put there.

    One that PYTHONPATH or a program put there stays.
    """
    folders = [folder for folder in sys.path if folder]
    is_module = getattr(sys.modules["__main__"], "__spec__", None) is not None
    if is_module and not sys.flags.safe_path and (here := os.getcwd()) in folders:
        del folders[len(folders) - 1 - folders[::-1].index(here)]
    return folders


def is_stopped(pid: int) -> bool:
    """Whether a signal or a debugger has stopped the process; False where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "tT"
    except OSError:
        return False
