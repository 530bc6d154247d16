"""Which part of a plan's candidates does this process measure?

`--shard 2/4` takes every fourth candidate, beginning with the second, and keeps what it measured in a log of its own.
Whoever has the logs of all shards in one folder has nothing left to measure, so merging is building. Any scheduler that
can start a command and copy a file will do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from z1.errors import UserError


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 1, of `of` parts."""

    number: int
    of: int

    @property
    def log(self) -> str:
        """The name of its log in the run's folder."""
        return f"measured-{self.number}-of-{self.of}.jsonl"


def parse(text: str) -> Shard:
    """The shard that `2/4` means. Raises UserError for anything else."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not found or int(found[1]) > int(found[2]):
        raise UserError("--shard", text, "give i/n, with i from 1 to n")
    return Shard(int(found[1]), int(found[2]))
