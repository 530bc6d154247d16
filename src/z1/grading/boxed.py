"""What stands in the box?

The content of the last complete `\\boxed{...}` of a text, braces matched, as LIMO's and MATH's graders read it; None
where there is none. Departs from LIMO's extraction in that an open box is no answer and not the rest of the text.
"""

from __future__ import annotations

import re

OPENING = "\\boxed{"

BRACES = re.compile(r"[{}]")


def extract_boxed(text: str) -> str | None:
    """The content of the last complete box in `text`; one pass, since a model that loops opens thousands of boxes."""
    begun: list[int] = []
    last: tuple[int, int] | None = None
    for brace in BRACES.finditer(text):
        if brace[0] == "{":
            begun.append(brace.end())
        elif begun:
            first = begun.pop()
            if text.startswith(OPENING, max(0, first - len(OPENING))) and (last is None or first > last[0]):
                last = first, brace.start()
    return text[slice(*last)] if last else None
