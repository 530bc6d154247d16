"""How does our server run in a process of its own?

    python -m bench.serving.server SLOTS CORE MILLISECONDS

Says its address on standard output, and serves until it is told to stop.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from z1.engines import Engine
from z1.engines.apart import Apart
from z1.serve.app import make_app
from z1.serve.desk import Desk, Limits
from z1.serve.reading import Manners
from z1.serve.running import Address, run


def engine(slots: int, core: int) -> Engine:
    """The engine, in the process that computes; this one has no need of its libraries."""
    from bench.serving import model

    return model.engine(slots, core)


def main(slots: int, core: int, milliseconds: int) -> None:
    """Serve."""
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})
    limits = Limits(replies=4 * slots, every=milliseconds / 1000)
    app = make_app(Desk(Apart(partial(engine, slots, core)), Manners(temperature=0.0), limits))
    run(app, Address(port=0, grace=1), lambda url: print(url, flush=True))


if __name__ == "__main__":
    from bench.serving.server import main  # by its name, under which the engine's process finds `engine` too

    main(*map(int, sys.argv[1:]))
