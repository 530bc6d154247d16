"""The program in the text of a reply.

The last complete fenced block that fits. If a function or class is named, this is the last block that defines it, else
the last that defines anything: examples of use and single lines under discussion often follow the program. A block that
does not parse is passed over if another one does. A block that was cut off is not a program. Departs from
LiveCodeBench's extraction, which takes the lines between the first two fences (and so the first draft), and from
BigCodeBench's, which keeps text outside any fence.
"""

from __future__ import annotations

import ast
import re

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*$", re.MULTILINE)

DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+\w", re.MULTILINE)


def code_blocks(text: str) -> list[str]:
    """The contents of all complete fenced blocks, in order; a longer fence may contain shorter ones."""
    found: list[str] = []
    opening: re.Match[str] | None = None
    for fence in FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[1].startswith(opening[1]) and fence[0].strip() == fence[1]:
            found.append(_dedent(text[opening.end() + 1 : fence.start()], opening[0]))
            opening = None
    return found


def _dedent(block: str, fence: str) -> str:
    """Remove the indentation of the fence from the block: blocks in a list are indented with their fences."""
    indent = fence[: len(fence) - len(fence.lstrip())]
    return re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) if indent else block


def _parses(block: str) -> bool:
    try:
        ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def extract_code(text: str, name: str = "") -> str | None:
    """The program in `text`, None without one. `name` is the function or class that it has to define, "" for none."""
    found = [block for block in code_blocks(text) if block.strip()]
    if name:
        escaped = re.escape(name)
        defines_name = re.compile(
            rf"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+{escaped}\b|^{escaped}[ \t]*=", re.MULTILINE
        )
        for pattern in (defines_name, DEFINITION):
            if fitting := [block for block in found if pattern.search(block) and _parses(block)]:
                return fitting[-1]
    return found[-1] if found else None
