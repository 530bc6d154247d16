"""What is known of a trajectory already?

Every measure stands in an append-only log under the hash of the content that it was taken of, so that nothing is
measured twice, whatever was killed, built again, or changed elsewhere in the plan. Shards write logs of their own
beside it; whoever builds reads them all. A verdict that is *missing* is not kept: the next run tries again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path

from z1.curate.measure import MeasureSettings, Values, lacking, measure
from z1.curate.parallel import ParallelMap, here
from z1.curate.sources import Candidate
from z1.grading import Verdict
from z1.runs import Log, iterate_lines

LOG = "measured.jsonl"


class MeasureCache:
    """The values kept in `folder`, and the one writer of its log `name`."""

    def __init__(self, wanted: MeasureSettings, folder: Path, name: str = LOG) -> None:
        self._wanted, self._path = wanted, folder / name
        self._names = wanted.names()
        self.tokenizer = self._names.get("tokens", "").removeprefix("tokens ")
        """The hash of the tokenizer that counts; "" where none does."""
        self._known: dict[str, Values] = {}
        for path in sorted(folder.glob("measured*.jsonl")):
            for record in iterate_lines(path, dict):
                self._learn(str(record["key"]), record)

    def _learn(self, key: str, record: Values) -> None:
        values = {field: record[name] for field, name in self._names.items() if name in record}
        if (known := self._known.setdefault(key, values)) is not values:
            known.update(values)

    def filled(self, one: Candidate) -> Candidate:
        """The candidate with all that is known of it; a tokenizer's count replaces a source's."""
        before: Values = {"tokens": None} if self._wanted.tokenizer else {}
        return one.having(before | self._known.get(digest(one), {}))

    def lacks(self, one: Candidate) -> bool:
        """Whether anything has to be measured of a candidate that is filled."""
        return lacking(self._wanted, one)

    def fill(self, blocks: Iterable[Sequence[Candidate]], spread: ParallelMap = here) -> Iterator[list[Candidate]]:
        """The candidates with all of their measures, block by block; what was lacking is measured by `spread`."""
        waiting: deque[list[Candidate]] = deque()

        def lacking_blocks() -> Iterator[list[Candidate]]:
            for block in blocks:
                waiting.append([self.filled(one) for one in block])
                yield [one for one in waiting[-1] if self.lacks(one)]

        with Log(self._path) as log:
            for found in spread(partial(measure, self._wanted), lacking_blocks()):
                block = waiting.popleft()
                if found:
                    log.add(self._records([one for one in block if self.lacks(one)], found))
                    block = [self.filled(one) for one in block]
                yield block

    def _records(self, block: Sequence[Candidate], found: Sequence[Values]) -> Iterator[Values]:
        """Lines for the log; the values count at once."""
        for one, values in zip(block, found, strict=True):
            key, kept = digest(one), dict(values)
            self._known.setdefault(key, {}).update(values)
            if kept.get("verdict") == Verdict.MISSING:
                del kept["verdict"], kept["fault"]
            yield {"key": key, **{self._names[field]: value for field, value in kept.items()}}


def digest(one: Candidate) -> str:
    """32 hexadecimal digits of the content that measures follow from."""
    text = "\0".join((one.question, one.response, one.end, one.tests, one.entry, one.setup))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
