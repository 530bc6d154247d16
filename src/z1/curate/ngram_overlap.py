"""Which known text does this one repeat, and which words of it?

Runs of `words` words, compared after normalising (`words.py`). A run that stands in `common` or more items of one
benchmark is boilerplate and counts for none. How much of an item is repeated is a share: of the words that stand in
its own runs, those that were found. A text repeats an item where the share and the number of those words are large
enough. An item shorter than a run is found where all of its words stand in a row with the same signs between them; one
of fewer than FEWEST words cannot be told from chance and is not looked for. Finds no paraphrase.

Source of the method: https://github.com/huggingface/open-r1 (scripts/decontaminate.py). Departs from it in dropping
punctuation, in its care for short items and boilerplate, and in asking for a share and not for one run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from z1.curate.plan import DecontaminateSettings
from z1.curate.words import spans, words

FEWEST = 3
"""Words of the shortest item that is looked for."""

Ngram = tuple[str, ...]

NgramMatch = tuple[int, int, int]
"""A run that was met: its place in the text, its place in the item, and its words, all counted in words."""

MatchedSpan = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """One problem of a benchmark."""

    benchmark: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """`item` is repeated: the `share` of its words, 0 to 1, and the longest run, as characters [first, last + 1]."""

    item: BenchmarkItem
    share: float
    of_text: tuple[int, int]
    of_item: tuple[int, int]


class BenchmarkItems:
    """The runs of many items, to be looked for in texts."""

    def __init__(self, items: Sequence[BenchmarkItem], settings: DecontaminateSettings) -> None:
        self._items, self._settings, self._size = items, settings, settings.words
        self._places: dict[Ngram, list[tuple[int, int]]] = defaultdict(list)
        self._own: list[int] = []
        self.unsought = 0
        """Items that cannot be looked for."""
        often = Counter(key for item in items for key in {(item.benchmark, run) for run in self._runs(item)})
        for number, item in enumerate(items):
            own = [
                (place, run)
                for place, run in enumerate(self._runs(item))
                if often[item.benchmark, run] < settings.common
            ]
            for place, run in own:
                self._places[run].append((number, place))
            self._own.append(len({place + after for place, run in own for after in range(len(run))}))
            self.unsought += not own
        self._sizes = sorted({len(run) for run in self._places})
        self._heads = {run[:FEWEST] for run in self._places}

    def _runs(self, item: BenchmarkItem) -> Iterator[Ngram]:
        said = words(item.text)
        size = min(self._size, len(said))
        return (tuple(said[at : at + size]) for at in range(len(said) - size + 1) if size >= FEWEST)

    def best(self, text: str) -> Overlap | None:
        """The item of which `text` repeats the largest share, if it repeats enough of any; of equal ones the first."""
        found = list(spans(text))
        said = [word for word, _, _ in found]
        met: dict[int, list[NgramMatch]] = defaultdict(list)
        for at, head in enumerate(zip(*(said[begin:] for begin in range(FEWEST)), strict=False)):
            if head in self._heads:
                for size in self._sizes:
                    for number, place in self._places.get(tuple(said[at : at + size]), ()):
                        met[number].append((at, place, size))
        shares = sorted((-self._share(number, runs), number) for number, runs in met.items())
        overlaps = (self._overlap(number, -share, met[number], text, found) for share, number in shares if share)
        return next(filter(None, overlaps), None)

    def _share(self, number: int, met: list[NgramMatch]) -> float:
        """The share of an item's words that were met, or 0 where that is not enough."""
        count, own = len({place + after for _, place, size in met for after in range(size)}), self._own[number]
        enough = count >= min(self._settings.least, own) and count >= self._settings.share * own
        return count / own if enough else 0.0

    def _overlap(
        self, number: int, share: float, met: list[NgramMatch], text: str, found: list[MatchedSpan]
    ) -> Overlap | None:
        item = self._items[number]
        there = list(spans(item.text))
        runs = [_longest(met)] if len(there) >= self._size else met
        for at, place, size in runs:
            of_text = found[at][1], found[at + size - 1][2]
            of_item = there[place][1], there[place + size - 1][2]
            if len(there) >= self._size or _squeezed(text, of_text) == _squeezed(item.text, of_item):
                return Overlap(item, share, of_text, of_item)
        return None


def _longest(met: list[NgramMatch]) -> NgramMatch:
    """The longest run that the met ones make together."""
    best = met[0]
    open_runs: dict[tuple[int, int], tuple[int, int]] = {}
    for at, place, size in met:
        begun = open_runs.pop((at - 1, place - 1), (at, place))
        open_runs[at, place] = begun
        if (length := at - begun[0] + size) > best[2]:
            best = (*begun, length)
    return best


def _squeezed(text: str, part: tuple[int, int]) -> str:
    return "".join(text[slice(*part)].lower().split())
