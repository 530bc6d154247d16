"""A program's control group, by the descriptors that the grader sent with the job; without them it does nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence


class JoinedGroup:
    """`descriptors` of `cgroup.procs` and `memory.events`, or none (see `control_groups.py`)."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors

    def join(self) -> None:
        """Move this process into the group."""
        if self._descriptors:
            os.write(self._descriptors[0], b"0")

    def count_kills(self) -> int:
        """How many processes of the group Linux has killed because the group had reached its memory limit."""
        if not self._descriptors:
            return 0
        events = dict(line.split() for line in os.pread(self._descriptors[1], 1 << 12, 0).splitlines())
        return int(events.get(b"oom_kill", 0))
