"""Dataset statistics: length distribution, histogram by difficulty, frequent trigrams, and counts by origin.

The table holds the statistics of the paper's Table 3 (rows, tokens, mean, minimum and maximum) with quartiles, and the
paper's trigram profile (arXiv 2504.00810). Trigrams are three white-space separated words in lower case, every
occurrence counted. Past MAX_TRIGRAMS distinct ones those seen once are dropped, so that memory stays flat; counts of
frequent ones are then too low by at most the number of times this happened.

Rows of several sources are joined by their problem: an id, or the text of the question (`sources.py`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from statistics import quantiles
from typing import Any

from z1.curate.pairs import CandidateRow

MAX_TRIGRAMS = 1_000_000

MAX_DIFFICULTIES = 12
"""Columns of the histogram; with more difficulties, none is shown."""

RANKS = {"easy": -3.0, "medium": -2.0, "hard": -1.0}
"""Order of named difficulties."""


@dataclass(slots=True)
class DatasetStatistics:
    """Statistics of a dataset, updated row by row."""

    sizes: list[int] = field(default_factory=list)
    trigrams: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_difficulty: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Difficulty -> bin of the histogram -> rows."""

    def add(self, response: str, tokens: int, difficulty: str = "") -> None:
        """Add a row."""
        self.sizes.append(tokens)
        self.by_difficulty[difficulty][tokens.bit_length()] += 1
        words = response.lower().split()
        self.trigrams.update(zip(words, words[1:], words[2:], strict=False))
        if len(self.trigrams) > MAX_TRIGRAMS:
            self.trigrams = Counter({key: count for key, count in self.trigrams.items() if count > 1})

    def table(self) -> list[tuple[str, str]]:
        """The paper's Table 3 as formatted names and values."""
        if not self.sizes:
            return [("rows", "0")]
        total, rows = sum(self.sizes), len(self.sizes)
        low, middle, high = quantiles(self.sizes, n=4, method="inclusive") if rows > 1 else self.sizes * 3
        return [
            ("rows", f"{rows:,}"),
            ("tokens", f"{total:,}"),
            ("mean", f"{total / rows:,.0f}"),
            ("min", f"{min(self.sizes):,}"),
            ("quartiles", f"{low:,.0f}, {middle:,.0f}, {high:,.0f}"),
            ("max", f"{max(self.sizes):,}"),
        ]

    def histogram(self) -> list[tuple[int, int, list[int]]]:
        """Bins of lengths as (from, to, [rows in all, rows of each difficulty]); each is twice as wide as the last."""
        counts = [
            sum(self.by_difficulty.values(), Counter()),
            *(self.by_difficulty[name] for name in self.difficulties()),
        ]
        bins = range(min(counts[0], default=0), max(counts[0], default=-1) + 1)
        return [(1 << bits >> 1, (1 << bits) - 1, [each[bits] for each in counts]) for bits in bins]

    def difficulties(self) -> list[str]:
        """The difficulties of the rows, from easy to hard; empty if there is only one, or too many to show."""
        names = sorted(self.by_difficulty, key=_rank)
        return names if 1 < len(names) <= MAX_DIFFICULTIES else []

    def top_trigrams(self, limit: int = 10) -> list[tuple[str, int]]:
        """The most frequent trigrams and their counts; ties in alphabetical order."""
        best = nsmallest(limit, self.trigrams.items(), key=lambda item: (-item[1], item[0]))
        return [(" ".join(words), count) for words, count in best]

    def markdown(self) -> str:
        """The statistics as Markdown tables."""
        table = "".join(f"| {name} | {value} |\n" for name, value in self.table())
        names = ["rows", *(_cell(name or "unknown") for name in self.difficulties())]
        head = f"| tokens | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n"
        histogram = "".join(
            f"| {low:,} to {high:,} | {' | '.join(f'{n:,}' for n in rows)} |\n" for low, high, rows in self.histogram()
        )
        trigrams = "".join(f"| `{_cell(words)}` | {n:,} |\n" for words, n in self.top_trigrams())
        return f"| trajectories | |\n|---|---|\n{table}\n{head}{histogram}\n| trigram | count |\n|---|---|\n{trigrams}"


def _rank(difficulty: str) -> tuple[float, str]:
    """Sort key: numbers by value, named difficulties by RANKS, others last and alphabetically."""
    try:
        return float(difficulty), ""
    except ValueError:
        return RANKS.get(difficulty.lower(), math.inf), difficulty


def _cell(text: str) -> str:
    return text.replace("`", "´").replace("|", "¦")


def quantiles_of(scores: Sequence[float]) -> dict[str, float]:
    """The 50, 90, 97, 99 and 100 % quantiles of `scores`; empty without scores."""
    ordered = sorted(scores)
    shares = {"50 %": 0.5, "90 %": 0.9, "97 %": 0.97, "99 %": 0.99, "100 %": 1.0} if ordered else {}
    return {name: round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4) for name, share in shares.items()}


def count_origins(entries: Iterable[CandidateRow]) -> dict[str, Any]:
    """Candidates and rows by origin, and the number of problems joined across origins, for the manifest."""
    candidates: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    origins: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        candidates[entry.origin] += 1
        rows[entry.origin] += not entry.reason
        origins[entry.problem].add(entry.origin)
    return {
        "origins": {name: {"candidates": count, "rows": rows[name]} for name, count in candidates.items()},
        "joined": sum(len(names) > 1 for names in origins.values()),
    }
