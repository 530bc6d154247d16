"""Ray in a process of its own, since Python warns of the children it leaves: `python -m tests.curate.ray_workers`.

Builds the same plan in the process and on a local cluster of two workers, and reports whether the bytes are the same.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import ray

from tests.curate import test_parallel
from z1.curate import builder, parallel
from z1.errors import Fault


def main(folder: Path) -> None:
    builder.BATCH = 6
    here, there = folder / "here", folder / "there"
    test_parallel.write(here)
    test_parallel.write(there)
    test_parallel.curate(here)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    test_parallel.curate(there, ray=True)
    found = test_parallel.made(there)
    try:
        fault = str(list(parallel.on_ray(sorted, [[2, 1], [1, "a"]])))
    except Fault as error:
        fault = str(error)
    same = found == test_parallel.made(here)
    print(json.dumps({"same": same, "dropped": json.loads(found["manifest"])["dropped"], "fault": fault}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
