"""Which part of this text is the program?

The last complete block between fences that looks like what was asked for: where a name is wanted, one that defines it,
or else one that defines anything (examples of use and single lines under discussion often follow the program; what does
not parse is no program while something else does). A block that was cut off is no program. Departs from LiveCodeBench's
own extraction, which takes the lines between the first two fences (and so the first draft), and from BigCodeBench's,
which keeps text outside any fence.
"""

from __future__ import annotations

import ast
import re

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*$", re.MULTILINE)

DEFINES = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+\w", re.MULTILINE)


def code_blocks(text: str) -> list[str]:
    """The contents of all complete fenced blocks, in order; a longer fence may hold shorter ones."""
    found: list[str] = []
    opened: re.Match[str] | None = None
    for fence in FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and fence[0].strip() == fence[1]:
            found.append(_dedented(text[opened.end() + 1 : fence.start()], opened[0]))
            opened = None
    return found


def _dedented(block: str, fence: str) -> str:
    """Fences inside a list are indented, and the block with them."""
    indent = fence[: len(fence) - len(fence.lstrip())]
    return re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) if indent else block


def _parses(block: str) -> bool:
    try:
        ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def extract_code(text: str, name: str = "") -> str | None:
    """The program in `text`, None where there is none. `name` is the name of the function or class asked for."""
    found = [block for block in code_blocks(text) if block.strip()]
    if name:
        escaped = re.escape(name)
        defines = re.compile(rf"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+{escaped}\b|^{escaped}[ \t]*=", re.MULTILINE)
        for kind in (defines, DEFINES):
            if fitting := [block for block in found if kind.search(block) and _parses(block)]:
                return fitting[-1]
    return found[-1] if found else None
