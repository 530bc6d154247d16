"""N-gram overlap of a text with benchmark problems: the problem that it repeats, and the words that match.

N-grams of `ngram_size` words are compared after normalisation: lower case, without punctuation, white space,
underscores and LaTeX's font commands, so that "list." equals "list" and `$\\texttt{ab}$` equals "ab". An n-gram that
occurs in `boilerplate_items` or more items of one benchmark is ignored as boilerplate. The overlap of an item is the
share of the words in its remaining n-grams that were found in the text; the share and the number of these words must
both be large enough. An item shorter than an n-gram matches only as a whole, with the same punctuation between its
words; one of fewer than MIN_ITEM_WORDS words may match by chance and is skipped. Paraphrases are not found.

Source: https://github.com/huggingface/open-r1 (scripts/decontaminate.py). Departs from it in dropping punctuation, in
its handling of short items and boilerplate, and in requiring a share instead of a single n-gram.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from z1.curate.plan import DecontaminateSettings

MIN_ITEM_WORDS = 3
"""Words of the shortest item that is indexed."""

Ngram = tuple[str, ...]

NgramMatch = tuple[int, int, int]
"""A matched n-gram: its position in the text, its position in the item, and its length, all in words."""

MatchedSpan = tuple[str, int, int]
"""A word and its first and last + 1 character."""

_WORD = re.compile(r"\\(?:text|math)[a-zA-Z]*|[^\W_]+")


def word_spans(text: str) -> Iterator[MatchedSpan]:
    """Each normalised word with its characters [first, last + 1] in `text`."""
    for match in _WORD.finditer(text):
        if text[match.start()] != "\\":
            yield match.group().lower(), match.start(), match.end()


def words(text: str) -> list[str]:
    """The normalised words of `text` in order."""
    return [word.lower() for word in _WORD.findall(text) if word[0] != "\\"]


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """One problem of a benchmark."""

    benchmark: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """The repeated `item`: the `share` of its words, 0 to 1, and the longest match as characters [first, last + 1]."""

    item: BenchmarkItem
    share: float
    text_span: tuple[int, int]
    item_span: tuple[int, int]


class NgramIndex:
    """An index of the n-grams of benchmark items."""

    def __init__(self, items: Sequence[BenchmarkItem], settings: DecontaminateSettings) -> None:
        self._items, self._settings, self._size = items, settings, settings.ngram_size
        self._positions: dict[Ngram, list[tuple[int, int]]] = defaultdict(list)
        self._word_counts: list[int] = []
        self.skipped = 0
        """Items without an indexed n-gram."""
        frequency = Counter(key for item in items for key in {(item.benchmark, ngram) for ngram in self._ngrams(item)})
        for number, item in enumerate(items):
            indexed = [
                (position, ngram)
                for position, ngram in enumerate(self._ngrams(item))
                if frequency[item.benchmark, ngram] < settings.boilerplate_items
            ]
            for position, ngram in indexed:
                self._positions[ngram].append((number, position))
            self._word_counts.append(
                len({position + offset for position, ngram in indexed for offset in range(len(ngram))})
            )
            self.skipped += not indexed
        self._sizes = sorted({len(ngram) for ngram in self._positions})
        self._heads = {ngram[:MIN_ITEM_WORDS] for ngram in self._positions}

    def _ngrams(self, item: BenchmarkItem) -> Iterator[Ngram]:
        tokens = words(item.text)
        size = min(self._size, len(tokens))
        return (tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1) if size >= MIN_ITEM_WORDS)

    def find_overlap(self, text: str) -> Overlap | None:
        """The item with the largest share repeated in `text`, if any share is large enough; of equal ones the first."""
        spans = list(word_spans(text))
        tokens = [word for word, _, _ in spans]
        matches: dict[int, list[NgramMatch]] = defaultdict(list)
        for at, head in enumerate(zip(*(tokens[start:] for start in range(MIN_ITEM_WORDS)), strict=False)):
            if head in self._heads:
                for size in self._sizes:
                    for number, position in self._positions.get(tuple(tokens[at : at + size]), ()):
                        matches[number].append((at, position, size))
        shares = sorted((-self._share(number, found), number) for number, found in matches.items())
        overlaps = (self._overlap(number, -share, matches[number], text, spans) for share, number in shares if share)
        return next(filter(None, overlaps), None)

    def _share(self, number: int, matches: list[NgramMatch]) -> float:
        """The matched share of an item's words, or 0 if it is below a threshold."""
        total = self._word_counts[number]
        count = len({position + offset for _, position, size in matches for offset in range(size)})
        is_enough = count >= min(self._settings.min_words, total) and count >= self._settings.min_share * total
        return count / total if is_enough else 0.0

    def _overlap(
        self, number: int, share: float, matches: list[NgramMatch], text: str, spans: list[MatchedSpan]
    ) -> Overlap | None:
        item = self._items[number]
        item_words = list(word_spans(item.text))
        is_long = len(item_words) >= self._size
        for at, position, size in [_longest(matches)] if is_long else matches:
            text_span = spans[at][1], spans[at + size - 1][2]
            item_span = item_words[position][1], item_words[position + size - 1][2]
            if is_long or _without_space(text, text_span) == _without_space(item.text, item_span):
                return Overlap(item, share, text_span, item_span)
        return None


def _longest(matches: list[NgramMatch]) -> NgramMatch:
    """The longest match that overlapping n-grams form together."""
    best = matches[0]
    open_runs: dict[tuple[int, int], tuple[int, int]] = {}
    for at, position, size in matches:
        start = open_runs.pop((at - 1, position - 1), (at, position))
        open_runs[at, position] = start
        if (length := at - start[0] + size) > best[2]:
            best = (*start, length)
    return best


def _without_space(text: str, span: tuple[int, int]) -> str:
    return "".join(text[slice(*span)].lower().split())
