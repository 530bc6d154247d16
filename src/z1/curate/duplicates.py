"""Has this trajectory been seen before?

The same question with the same response, letter case and white space aside; the first of them stays. A problem's other
trajectories are no duplicates. Does not find texts that are merely alike (`near.py` does).
"""

from __future__ import annotations

from z1.curate.sources import Candidate, fingerprint


class ExactDedup:
    """Remembers a fingerprint for each candidate, and no text."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def wrong(self, one: Candidate) -> str:
        """Nothing for the first of its kind, which is remembered; for others, whose duplicate it is."""
        key = fingerprint(one.question) + fingerprint(one.response)
        if key in self._first:
            return f"duplicate: of {self._first[key]}"
        self._first[key] = one.id
        return ""
