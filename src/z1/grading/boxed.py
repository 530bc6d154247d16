r"""The boxes of a text: `\boxed{...}` and `\fbox{...}`, also with space before the brace, and `\boxed 7`.

Braces are matched as TeX matches them: `\{` and `\}` are characters. Departs from LIMO's extraction in that an unclosed
box is not an answer; LIMO takes the rest of the text, and counts escaped braces. A box with nothing in it only counts
where no other box has content: texts quote the instruction to use `\boxed{}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BRACES = re.compile(r"(?<!\\)(?:\\\\)*([{}])")
COMMAND = re.compile(r"\\(?:boxed|fbox)\s{0,9}\Z")
LONGEST_COMMAND = len("\\boxed") + 9
UNBRACED = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])[ \t]*(?![{ \t])([^\s$]+)")
ONE_VALUE = re.compile(r"[-+−]?[$(\[]?(?:[\d.]|\\[A-Za-z]|[A-Za-z](?![A-Za-z]))")


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its content, and the offsets of its command and of what follows it."""

    content: str
    start: int
    end: int


def find_boxes(text: str) -> list[Box]:
    """The complete boxes of `text` in the order in which they begin; one pass, since a model that loops opens
    thousands.
    """
    open_braces: list[tuple[int, int]] = []
    found: list[Box] = []
    for brace in BRACES.finditer(text):
        if brace[1] == "{":
            before = max(0, brace.start(1) - LONGEST_COMMAND)
            command = COMMAND.search(text[before : brace.start(1)])
            open_braces.append((before + command.start() if command else -1, brace.end()))
        elif open_braces:
            start, content = open_braces.pop()
            if start >= 0:
                found.append(Box(text[content : brace.start(1)], start, brace.end()))
    for match in UNBRACED.finditer(text):
        if ONE_VALUE.match(match[1]):
            found.append(Box(re.sub(r"(?:[.,;:!?*]|\\[)\]])+\Z", "", match[1]), match.start(), match.end()))
    return sorted(found, key=lambda box: box.start)


def extract_boxed(text: str) -> str | None:
    """The content of the last complete box in `text`, None without one."""
    contents = [box.content for box in find_boxes(text)]
    return next((content for content in reversed(contents) if content.strip()), contents[-1] if contents else None)
