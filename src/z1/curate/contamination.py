"""Decontamination: finds rows that repeat a benchmark problem.

A row's text is compared by n-gram overlap (`ngram_overlap.py`) with the problems of every benchmark that `z1 evaluate`
knows. Problems of the synthetic benchmarks are found by their hash, since their test set is a split and not a list. A
benchmark that cannot be read is recorded with the reason, for the manifest and the report. The held-out files of the
plan's own sources count as benchmarks. Answers and tests are not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from z1.benchmarks import BENCHMARKS, Benchmark, LoadOptions, get_benchmark
from z1.curate.ngram_overlap import BenchmarkItem, NgramIndex, Overlap
from z1.curate.plan import CuratePlan, DecontaminateSettings
from z1.curate.sources import Candidate
from z1.dataset_rows import LeftOut, RowDefect, read_row, read_rows
from z1.errors import UserError
from z1.synthetic import find_held_out

ALL_ITEMS = 1 << 60


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that repeats a benchmark item."""

    row: str
    text: str
    overlap: Overlap


class Contamination:
    """The benchmarks of a plan, and the rows that repeat them."""

    def __init__(self, settings: DecontaminateSettings, held_out: Iterable[BenchmarkItem] = ()) -> None:
        self.settings, self._held_out = settings, held_out
        self.items: dict[str, int] = {}
        """Number of items of each benchmark that was read."""
        self.unreadable: dict[str, str] = {}
        """Benchmarks that could not be read, with the reason."""
        self.findings: list[Finding] = []
        self.by_hash: Counter[str] = Counter()
        """Rows in the test split of a synthetic benchmark."""
        for name in settings.data:
            get_benchmark(name)  # rejects a misspelt name, which would otherwise be ignored
        self.builtin = [name for name in self._names() if isinstance(get_benchmark(name).source, str)]
        self._index = NgramIndex(self._read(), settings)

    def _names(self) -> tuple[str, ...]:
        return self.settings.against or tuple(name for name, row in BENCHMARKS.items() if row.source)

    def _read(self) -> list[BenchmarkItem]:
        items: list[BenchmarkItem] = []
        for name in self._names():
            if name not in self.builtin:
                try:
                    read = benchmark_items(get_benchmark(name), self.settings)
                except UserError as error:
                    self.unreadable[name] = str(error)
                else:
                    items += read
                    self.items[name] = len(read)
        for item in self._held_out:
            items.append(item)
            self.items[item.benchmark] = self.items.get(item.benchmark, 0) + 1
        return items

    def drop_reason(self, candidate: Candidate) -> str:
        """The benchmark item that a candidate repeats, which is recorded; "" if there is none."""
        if (found := find_held_out(candidate.question)) and found[0] in self.builtin:
            self.by_hash[found[0]] += 1
            return f"contaminated: {found[0]} {found[1]}, in its test split"
        text = candidate.question
        if self.settings.compare == "row":
            text = f"{candidate.question}\n{candidate.response}"
        overlap = self._index.find_overlap(text)
        if overlap is None:
            return ""
        self.findings.append(Finding(candidate.id, text, overlap))
        return f"contaminated: {overlap.item.benchmark} {overlap.item.name}, {overlap.share:.0%} of its words"

    def summary(self) -> dict[str, Any]:
        """For the manifest: items compared, benchmarks not read, and the number of items that rows repeat."""
        repeated: dict[str, set[str]] = {}
        for finding in self.findings:
            item = finding.overlap.item
            repeated.setdefault(item.benchmark, set()).add(item.name)
        return {
            "items": self.items,
            "by_hash": {name: self.by_hash[name] for name in self.builtin},
            "unreadable": self.unreadable,
            "too_short": self._index.skipped,
            "repeated": {name: len(items) for name, items in sorted(repeated.items())},
        }


def held_out_items(plan: CuratePlan) -> Iterator[BenchmarkItem]:
    """The questions in the held-out files of the plan's sources, as items of benchmarks named after the files."""
    for source in plan.source:
        for place, row, columns in read_rows(source.table_files().held_out, source.table_settings()):
            with suppress(RowDefect, LeftOut):  # a row without a question has nothing to repeat
                for sample in read_row(row, {"question": columns["question"]}, str(row.get("split") or "")):
                    yield BenchmarkItem(f"held-out {place.file.name}", str(place.number), sample.question)


def benchmark_items(benchmark: Benchmark, settings: DecontaminateSettings) -> list[BenchmarkItem]:
    """The items of a benchmark. Raises UserError if its data is not available."""
    options = LoadOptions(data=settings.data.get(benchmark.name, ""), release=settings.release)
    problems = benchmark.load(ALL_ITEMS, 0, options)
    return [BenchmarkItem(benchmark.name, problem.id, problem.question) for problem in problems]
