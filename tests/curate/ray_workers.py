"""Ray in a process of its own, since it leaves children that Python warns of: `python -m tests.curate.ray_workers`.

Builds the same plan in the process and on a local cluster of two workers, and says whether the bytes are the same.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import ray

from tests.curate import test_shard
from z1.curate import builder, parallel
from z1.errors import Fault


def main(folder: Path) -> None:
    builder.BATCH = 6
    here, there = folder / "here", folder / "there"
    test_shard.write(here)
    test_shard.write(there)
    test_shard.curate(here)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    test_shard.curate(there, ray=True)
    found = test_shard.made(there)
    try:
        fault = str(list(parallel.on_ray(sorted, [[2, 1], [1, "a"]])))
    except Fault as error:
        fault = str(error)
    same = found == test_shard.made(here)
    print(json.dumps({"same": same, "left_out": json.loads(found["manifest"])["left_out"], "fault": fault}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
