"""A process that has z1 loaded and forks for each command or script, because loading takes seconds.

`python -m tests.fork_server SOCKET` receives a list and the descriptors of standard files over the socket, and sends
back the exit code. The list is the folder, the path of a Python script (empty for the command line), and the arguments.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
import traceback
from typing import NoReturn

import transformers.models.auto  # noqa: F401

import z1.cli.stages
import z1.engines.local.engine
import z1.llm
import z1.train.scratch.trainer  # noqa: F401
from z1.cli import main as cli


def main(number: int) -> None:
    with socket.socket(fileno=number) as connection:
        while request := socket.recv_fds(connection, 1 << 20, 3)[:2]:
            text, files = request
            if not text:
                return
            child = os.fork()
            if child == 0:
                run_in_fork(json.loads(text), files)
            for file in files:
                os.close(file)
            connection.sendall(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def run_in_fork(request: list[str], files: list[int]) -> NoReturn:
    """Run a command or script and exit, without the interpreter's finalization, which takes seconds."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    folder, script, *arguments = request
    os.chdir(folder)
    sys.argv = [script or "z1", *arguments]
    status: object = 0
    try:
        runpy.run_path(script, run_name="__main__") if script else cli.main()
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    main(int(sys.argv[1]))
