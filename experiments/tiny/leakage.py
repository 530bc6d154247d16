"""How often a model continues its reasoning inside the answer after its thought was closed by force.

Takes attempts that were forced to answer. An answer *leaks* when it contains a row of a thought; it *loops* when it
repeats a line and was cut off. The rows are those of the synthetic tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from z1.evaluate.intervals import share
from z1.records import Attempt, Interval
from z1.think import Bucket, End, Shift

ROW = re.compile(r"\d+\| | -> ")
"""Marks of a thought's row, which no answer has."""


def leakage(attempts: Iterable[Attempt]) -> dict[str, Interval | int]:
    """The number of attempts that were `shifted`, under all budgets, and the shares of them that leak and loop."""
    answers = [
        (a.text(Bucket.ANSWER), a.end == End.CUT)
        for a in attempts
        if a.shift not in ("", Shift.NATURAL.value) and a.token_ids
    ]
    if not answers:
        return {"shifted": 0}
    leaks = sum(bool(ROW.search(text)) for text, _ in answers)
    loops = sum(is_cut and _repeats(text) for text, is_cut in answers)
    return {"shifted": len(answers), "leaks": share(leaks, len(answers)), "loops": share(loops, len(answers))}


def _repeats(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    return len(set(lines)) < len(lines)
