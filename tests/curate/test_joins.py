"""The manifest counts what came from where, and what was joined."""

from __future__ import annotations

from z1.curate.joins import facts
from z1.curate.pairs import Entry


def test_origins_and_joined_problems_are_counted() -> None:
    entries = [
        Entry("a", "p", 1, origin="published"),
        Entry("b", "p", 1, "no code", origin="source"),
        Entry("c", "q", 1, origin="source"),
        Entry("d", "q", 1, origin="source"),
    ]
    assert facts(entries) == {
        "origins": {"published": {"candidates": 1, "rows": 1}, "source": {"candidates": 3, "rows": 2}},
        "joined": 1,
    }
