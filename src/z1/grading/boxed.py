"""The content of the last complete `\\boxed{...}` of a text.

Braces are matched as in the graders of LIMO and MATH. Departs from LIMO's extraction in that an unclosed box is not an
answer; LIMO takes the rest of the text.
"""

from __future__ import annotations

import re

OPENING = "\\boxed{"

BRACES = re.compile(r"[{}]")


def extract_boxed(text: str) -> str | None:
    """The content of the last complete box in `text`, None without one; one pass, since a model that loops opens
    thousands of boxes.
    """
    open_braces: list[int] = []
    last: tuple[int, int] | None = None
    for brace in BRACES.finditer(text):
        if brace[0] == "{":
            open_braces.append(brace.end())
        elif open_braces:
            start = open_braces.pop()
            if text.startswith(OPENING, max(0, start - len(OPENING))) and (last is None or start > last[0]):
                last = start, brace.start()
    return text[slice(*last)] if last else None
