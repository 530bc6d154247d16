"""Which sources gave how much, and which problems did more than one of them give?

What joins two rows is their problem: an id, or the text of the question (`sources.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from z1.curate.pairs import CandidateRow


def facts(entries: Iterable[CandidateRow]) -> dict[str, Any]:
    """For the manifest: candidates and rows by origin, and how many problems were joined across origins."""
    candidates: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    origins: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        candidates[entry.origin] += 1
        rows[entry.origin] += not entry.why
        origins[entry.problem].add(entry.origin)
    return {
        "origins": {name: {"candidates": count, "rows": rows[name]} for name, count in candidates.items()},
        "joined": sum(len(names) > 1 for names in origins.values()),
    }
