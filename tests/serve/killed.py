"""A server that is killed and started again, in forks of a process that has z1 loaded.

    python -m tests.serve.killed LEDGER

Each line on standard input starts a server, which prints its process id and its URL. The next line is read when that
server has ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.serve.scripts import scripted
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.runtime.ledger_file import LedgerFile
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.server import Address, run


def main(ledger: Path) -> None:
    while sys.stdin.readline():
        child = os.fork()
        if child == 0:
            serve(ledger)
        os.waitpid(child, 0)


def serve(ledger: Path) -> None:
    limits = ServerLimits(stream_interval=0.01)
    service = ChatService(scripted(0.001), RequestDefaults(temperature=0.0), limits, LedgerFile(ledger))
    address = Address(port=0, shutdown_timeout=1)
    run(make_app(service), address, lambda url: print(os.getpid(), url, flush=True))
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
