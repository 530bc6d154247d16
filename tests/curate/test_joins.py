"""The manifest counts what came from where, and what was joined."""

from __future__ import annotations

from z1.curate.joins import facts
from z1.curate.pairs import CandidateRow


def test_origins_and_joined_problems_are_counted() -> None:
    entries = [
        CandidateRow("a", "p", 1, origin="published"),
        CandidateRow("b", "p", 1, "no code", origin="source"),
        CandidateRow("c", "q", 1, origin="source"),
        CandidateRow("d", "q", 1, origin="source"),
    ]
    assert facts(entries) == {
        "origins": {"published": {"candidates": 1, "rows": 1}, "source": {"candidates": 3, "rows": 2}},
        "joined": 1,
    }
