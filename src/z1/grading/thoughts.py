"""Where the answer begins in a text that has a thought: behind the last closing tag of any model family."""

from __future__ import annotations

import re

from z1.families import PROFILES

THINK_END = re.compile(
    "|".join(
        re.escape(tag)
        for tag in sorted({row.think_end.strip() for row in PROFILES.values()} - {""}, key=len, reverse=True)
    )
)


def split_thought(text: str) -> tuple[str, str]:
    """`text` up to and from the end of its last closing tag; ("", `text`) without one."""
    border = max((match.end() for match in THINK_END.finditer(text)), default=0)
    return text[:border], text[border:]
