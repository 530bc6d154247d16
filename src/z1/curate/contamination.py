"""Does a row ask what a benchmark asks?

Its text is compared with the problems of every benchmark that `evaluate` knows (`overlap.py` says how); questions of
the built-in worlds by their identity, since their tests are a split and not a list. A benchmark that cannot be read is
kept by name with the reason, for the manifest and the audit page. Does not look at answers and tests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from z1.benchmarks import BENCHMARKS, Benchmark, LoadOptions, get_benchmark
from z1.benchmarks.hub import HubFiles
from z1.curate.ngram_overlap import BenchmarkItem, BenchmarkItems, Overlap
from z1.curate.plan import DecontaminateSettings
from z1.curate.sources import Candidate
from z1.errors import UserError
from z1.synthetic import held_out

EVERY = 1 << 60


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that repeats an item."""

    row: str
    text: str
    overlap: Overlap


class Contamination:
    """The benchmarks of a plan, and what was found of them."""

    def __init__(self, settings: DecontaminateSettings) -> None:
        self.settings = settings
        self.items: dict[str, int] = {}
        """How many items of each benchmark are looked for."""
        self.unread: dict[str, str] = {}
        """Benchmarks that could not be read, and why."""
        self.findings: list[Finding] = []
        self.by_identity: Counter[str] = Counter()
        """Rows that are in the test split of a built-in world."""
        for name in settings.data:
            get_benchmark(name)  # a misspelt one would not be looked for
        self.builtin = [name for name in self._names() if not isinstance(get_benchmark(name).source, HubFiles)]
        self._items = BenchmarkItems(self._read(), settings)

    def _names(self) -> tuple[str, ...]:
        return self.settings.against or tuple(BENCHMARKS)

    def _read(self) -> list[BenchmarkItem]:
        items: list[BenchmarkItem] = []
        for name in self._names():
            if name not in self.builtin:
                try:
                    found = problems(get_benchmark(name), self.settings)
                except UserError as error:
                    self.unread[name] = str(error)
                else:
                    items += found
                    self.items[name] = len(found)
        return items

    def wrong(self, one: Candidate) -> str:
        """Nothing, or which item of which benchmark a candidate repeats; that is a finding then."""
        if (asked := held_out(one.question)) and asked[0] in self.builtin:
            self.by_identity[asked[0]] += 1
            return f"contaminated: {asked[0]} {asked[1]}, in its test split"
        text = one.question if self.settings.of == "question" else f"{one.question}\n{one.response}"
        overlap = self._items.best(text)
        if overlap is None:
            return ""
        self.findings.append(Finding(one.id, text, overlap))
        return f"contaminated: {overlap.item.benchmark} {overlap.item.name}, {overlap.share:.0%} of its words"

    def facts(self) -> dict[str, Any]:
        """For the manifest: what was looked for, what could not be, and how many rows repeat how many items."""
        repeated: dict[str, set[str]] = {}
        for finding in self.findings:
            item = finding.overlap.item
            repeated.setdefault(item.benchmark, set()).add(item.name)
        return {
            "items": self.items,
            "by_identity": {name: self.by_identity[name] for name in self.builtin},
            "not_read": self.unread,
            "too_short": self._items.unsought,
            "repeated": {name: len(items) for name, items in sorted(repeated.items())},
        }


def problems(one: Benchmark, settings: DecontaminateSettings) -> list[BenchmarkItem]:
    """The items of a benchmark. Raises UserError where its data cannot be had."""
    options = LoadOptions(data=settings.data.get(one.name, ""), release=settings.release)
    return [BenchmarkItem(one.name, found.id, found.question) for found in one.load(EVERY, 0, options)]
