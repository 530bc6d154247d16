"""The first of the same stays, and what only resembles it too."""

from __future__ import annotations

from z1.curate.duplicates import ExactDedup
from z1.curate.sources import Candidate


def test_the_first_stays_and_the_others_name_it() -> None:
    seen = ExactDedup()
    candidates = [
        Candidate("a", "p", "Q one?", "R  one."),
        Candidate("b", "p", "q ONE?", "r\none."),
        Candidate("c", "p", "Q one?", "R two."),
        Candidate("d", "q", "Q two?", "R one."),
        Candidate("a", "p", "Q one?", "R one."),
    ]
    assert [seen.wrong(one) for one in candidates] == ["", "duplicate: of a", "", "", "duplicate: of a"]
