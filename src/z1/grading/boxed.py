"""What stands in the box?

The content of the last complete `\\boxed{...}` of a text, braces matched, as LIMO's and MATH's graders read it; None
where there is none. Departs from LIMO's extraction in that an open box is no answer and not the rest of the text.
"""

from __future__ import annotations

OPENING = "\\boxed{"


def boxed(text: str) -> str | None:
    """The content of the last complete box in `text`."""
    start = text.rfind(OPENING)
    while start >= 0:
        content = _matched(text, start + len(OPENING))
        if content is not None:
            return content
        start = text.rfind(OPENING, 0, start)
    return None


def _matched(text: str, start: int) -> str | None:
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start:at]
    return None
