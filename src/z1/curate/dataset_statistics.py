"""What is in a dataset of trajectories?

The statistics of the paper's Table 3 (rows, tokens, mean, least and most) and its trigram profile (arXiv 2504.00810),
with quartiles and a histogram of lengths, by difficulty where rows have one. Trigrams are three words as white space
parts them, in lower case, every occurrence counted; past a million different ones those seen once are dropped, so that
memory stays flat: counts of frequent ones are then too low by at most the number of droppings.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from statistics import quantiles

MOST_TRIGRAMS = 1_000_000

MOST_DIFFICULTIES = 12
"""Columns of the histogram; where there are more kinds of difficulty, none is shown."""

RANKS = {"easy": -3.0, "medium": -2.0, "hard": -1.0}
"""Words for difficulties, in order."""


@dataclass(slots=True)
class Description:
    """Grows with each row that it is told."""

    sizes: list[int] = field(default_factory=list)
    trigrams: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_difficulty: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Difficulty -> class of the histogram -> rows."""

    def add(self, response: str, tokens: int, difficulty: str = "") -> None:
        """One more row."""
        self.sizes.append(tokens)
        self.by_difficulty[difficulty][tokens.bit_length()] += 1
        words = response.lower().split()
        self.trigrams.update(zip(words, words[1:], words[2:], strict=False))
        if len(self.trigrams) > MOST_TRIGRAMS:
            self.trigrams = Counter({key: count for key, count in self.trigrams.items() if count > 1})

    def facts(self) -> list[tuple[str, str]]:
        """Table 3: names and values as a person reads them."""
        if not self.sizes:
            return [("rows", "0")]
        total, rows = sum(self.sizes), len(self.sizes)
        low, middle, high = quantiles(self.sizes, n=4, method="inclusive") if rows > 1 else self.sizes * 3
        return [
            ("rows", f"{rows:,}"),
            ("tokens", f"{total:,}"),
            ("mean", f"{total / rows:,.0f}"),
            ("least", f"{min(self.sizes):,}"),
            ("quartiles", f"{low:,.0f}, {middle:,.0f}, {high:,.0f}"),
            ("most", f"{max(self.sizes):,}"),
        ]

    def histogram(self) -> list[tuple[int, int, list[int]]]:
        """[from, to, rows in all and of each difficulty] of lengths, each class twice as long as the one before."""
        counts = [
            sum(self.by_difficulty.values(), Counter()),
            *(self.by_difficulty[name] for name in self.difficulties()),
        ]
        classes = range(min(counts[0], default=0), max(counts[0], default=-1) + 1)
        return [(1 << bits >> 1, (1 << bits) - 1, [each[bits] for each in counts]) for bits in classes]

    def difficulties(self) -> list[str]:
        """Those that rows have, from easy to hard; none where all are the same or they are too many to show."""
        names = sorted(self.by_difficulty, key=_rank)
        return names if 1 < len(names) <= MOST_DIFFICULTIES else []

    def profile(self, count: int = 10) -> list[tuple[str, int]]:
        """The most frequent trigrams; of equally frequent ones the first by letters."""
        best = nsmallest(count, self.trigrams.items(), key=lambda item: (-item[1], item[0]))
        return [(" ".join(words), times) for words, times in best]

    def markdown(self) -> str:
        """All of it as tables."""
        facts = "".join(f"| {name} | {value} |\n" for name, value in self.facts())
        names = ["rows", *(_cell(name or "not said") for name in self.difficulties())]
        head = f"| tokens | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n"
        shown = "".join(
            f"| {low:,} to {high:,} | {' | '.join(f'{n:,}' for n in rows)} |\n" for low, high, rows in self.histogram()
        )
        profile = "".join(f"| `{_cell(words)}` | {n:,} |\n" for words, n in self.profile())
        return f"| trajectories | |\n|---|---|\n{facts}\n{head}{shown}\n| trigram | times |\n|---|---|\n{profile}"


def _rank(difficulty: str) -> tuple[float, str]:
    """Numbers by size and words by RANKS; others by letters, last."""
    try:
        return float(difficulty), ""
    except ValueError:
        return RANKS.get(difficulty.lower(), math.inf), difficulty


def _cell(text: str) -> str:
    return text.replace("`", "´").replace("|", "¦")


def spread_of(scores: Sequence[float]) -> dict[str, float]:
    """At most how much the lowest half, 90, 97, 99 and 100 % of `scores` have; nothing where there are none."""
    ordered = sorted(scores)
    shares = {"50 %": 0.5, "90 %": 0.9, "97 %": 0.97, "99 %": 0.99, "100 %": 1.0} if ordered else {}
    return {name: round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4) for name, share in shares.items()}
