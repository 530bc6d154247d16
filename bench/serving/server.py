"""z1's server in a process of its own.

    python -m bench.serving.server MAX_NUM_SEQS CORE STREAM_INTERVAL_MS

Prints its URL on standard output, and serves until it is terminated.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from z1.engines import Engine
from z1.engines.local.worker import SubprocessEngine
from z1.serve.api.request_parser import RequestDefaults
from z1.serve.app import make_app
from z1.serve.runtime.service import ChatService, ServerLimits
from z1.serve.server import Address, run


def engine(max_num_seqs: int, core: int) -> Engine:
    """The engine, in the worker process; this process does not import its libraries."""
    from bench.serving import model

    return model.engine(max_num_seqs, core)


def main(max_num_seqs: int, core: int, milliseconds: int) -> None:
    """Serve."""
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})
    limits = ServerLimits(max_concurrent_requests=4 * max_num_seqs, stream_interval=milliseconds / 1000)
    app = make_app(
        ChatService(SubprocessEngine(partial(engine, max_num_seqs, core)), RequestDefaults(temperature=0.0), limits)
    )
    run(app, Address(port=0, shutdown_timeout=1), lambda url: print(url, flush=True))


if __name__ == "__main__":
    from bench.serving.server import main  # not from __main__, so that the worker process can unpickle `engine`

    main(*map(int, sys.argv[1:]))
