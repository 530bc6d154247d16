"""Statistics of a dataset and counts by origin."""

from __future__ import annotations

import pytest

from z1.curate import dataset_statistics
from z1.curate.dataset_statistics import DatasetStatistics, count_origins, quantiles_of
from z1.curate.pairs import CandidateRow


def described(sizes: list[int], text: str = "I need to go") -> DatasetStatistics:
    made = DatasetStatistics()
    for size in sizes:
        made.add(text, size)
    return made


def test_the_table_has_the_statistics_of_the_papers_table_3() -> None:
    facts = dict(described([25, 100, 8169, 306]).table())
    assert facts == {
        "rows": "4",
        "tokens": "8,600",
        "mean": "2,150",
        "min": "25",
        "quartiles": "81, 203, 2,272",
        "max": "8,169",
    }
    assert described([]).table() == [("rows", "0")] and described([]).histogram() == []
    assert dict(described([7]).table())["quartiles"] == "7, 7, 7"


def test_the_histogram_counts_every_row_once() -> None:
    found = described([0, 1, 2, 3, 4, 7, 8, 40]).histogram()
    rows = [(0, 0, 1), (1, 1, 1), (2, 3, 2), (4, 7, 2), (8, 15, 1), (16, 31, 0), (32, 63, 1)]
    assert found == [(low, high, [count]) for low, high, count in rows]


def test_the_histogram_has_a_column_for_each_difficulty_from_easy_to_hard() -> None:
    made = DatasetStatistics()
    for size, difficulty in ((5, "Hard"), (1, "Easy"), (6, "Easy"), (5, "Medium"), (4, "odd"), (1, "")):
        made.add("R", size, difficulty)
    assert made.difficulties() == ["Easy", "Medium", "Hard", "", "odd"]
    assert made.histogram() == [(1, 1, [2, 1, 0, 0, 1, 0]), (2, 3, [0] * 6), (4, 7, [4, 1, 1, 1, 0, 1])]
    assert (
        "| tokens | rows | Easy | Medium | Hard | unknown | odd |\n|---|---|---|---|---|---|---|\n" in made.markdown()
    )
    assert "| 4 to 7 | 4 | 1 | 1 | 1 | 0 | 1 |" in made.markdown()
    steps = DatasetStatistics()
    for number in range(1, 12):
        steps.add("R", number, str(number))
    assert steps.difficulties() == [str(number) for number in range(1, 12)]
    for number in range(20):
        steps.add("R", 1, f"kind {number}")
    assert steps.difficulties() == [] and "| tokens | rows |\n" in steps.markdown()


def test_trigrams_are_counted_in_lower_case() -> None:
    made = described([1, 1], "I need to, i NEED to, then")
    assert made.top_trigrams(2) == [("i need to,", 4), ("need to, i", 2)]
    assert "| `i need to,` | 4 |" in made.markdown()


def test_memory_is_bounded_and_frequent_trigrams_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_statistics, "MAX_TRIGRAMS", 50)
    made = DatasetStatistics()
    for number in range(100):
        made.add(f"we need to {number} {number} {number}", 1)
        assert len(made.trigrams) <= 50
    assert made.top_trigrams(1) == [("we need to", 100)]


def test_quantiles_of_scores() -> None:
    found = quantiles_of([number / 100 for number in range(100, 0, -1)])
    assert found == {"50 %": 0.5, "90 %": 0.9, "97 %": 0.97, "99 %": 0.99, "100 %": 1.0}
    assert set(quantiles_of([0.25]).values()) == {0.25}
    assert quantiles_of([]) == {}


def test_origins_and_joined_problems_are_counted() -> None:
    entries = [
        CandidateRow("a", "p", 1, origin="published"),
        CandidateRow("b", "p", 1, "no code", origin="source"),
        CandidateRow("c", "q", 1, origin="source"),
        CandidateRow("d", "q", 1, origin="source"),
    ]
    assert count_origins(entries) == {
        "origins": {"published": {"candidates": 1, "rows": 1}, "source": {"candidates": 3, "rows": 2}},
        "joined": 1,
    }
