"""How does our server run in a process of its own?

    python -m bench.serving.server SLOTS CORE MILLISECONDS

Says its address on standard output, and serves until it is told to stop.
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


def engine(slots: int, core: int) -> Engine:
    """The engine, in the process that computes; this one has no need of its libraries."""
    from bench.serving import model

    return model.engine(slots, core)


def main(slots: int, core: int, milliseconds: int) -> None:
    """Serve."""
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})
    limits = ServerLimits(max_concurrent_requests=4 * slots, stream_interval=milliseconds / 1000)
    app = make_app(
        ChatService(SubprocessEngine(partial(engine, slots, core)), RequestDefaults(temperature=0.0), limits)
    )
    run(app, Address(port=0, shutdown_timeout=1), lambda url: print(url, flush=True))


if __name__ == "__main__":
    from bench.serving.server import main  # by its name, under which the engine's process finds `engine` too

    main(*map(int, sys.argv[1:]))
