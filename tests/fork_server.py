"""A process that has z1 loaded and forks for each command, because loading takes seconds.

`python -m tests.fork_server SOCKET` receives arguments, folder and the descriptors of standard files over the socket,
and sends back the exit code.
"""

from __future__ import annotations

import json
import os
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


def run_in_fork(request: dict[str, str | list[str]], files: list[int]) -> NoReturn:
    """Run a command and exit, without the interpreter's finalization, which takes longer than most commands."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(str(request["folder"]))
    sys.argv = ["z1", *request["arguments"]]
    status: object = 0
    try:
        cli.main()
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
