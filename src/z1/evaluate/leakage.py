"""After a forced close, does the model answer, or does it go on thinking inside its answer?

Looks at attempts that a window shifted. An answer *leaks* where it holds a row of a thought; it *loops* where it says
a line again that it had said before and was cut off. Known rows are those of the built-in worlds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from z1.evaluate.intervals import Interval, share
from z1.records import Attempt
from z1.think import Bucket, End, Shift

ROW = re.compile(r"\d+\| | -> ")
"""What stands in rows of thoughts and in no answer."""


def leakage(attempts: Iterable[Attempt]) -> dict[str, Interval | int]:
    """Shares of the shifted attempts under all windows that leak and that loop, and how many were shifted."""
    answers = [
        (a.text(Bucket.ANSWER), a.end == End.CUT)
        for a in attempts
        if a.shift not in ("", Shift.NATURAL.value) and a.token_ids
    ]
    if not answers:
        return {"shifted": 0}
    leaks = sum(bool(ROW.search(text)) for text, _ in answers)
    loops = sum(cut and _repeats(text) for text, cut in answers)
    return {"shifted": len(answers), "leaks": share(leaks, len(answers)), "loops": share(loops, len(answers))}


def _repeats(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    return len(set(lines)) < len(lines)
