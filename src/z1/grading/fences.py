"""The fenced code blocks of a text, also where the fences are not quite Markdown.

A fence may be opened behind words, a bullet or a quotation mark, and closed at the end of a line of code. A fence that
names a language inside a block begins another block: the one before was a draft that was never closed. Fences inside a
triple-quoted string belong to the program.
"""

from __future__ import annotations

import ast
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

FENCE = re.compile(r"`{3,}|(?<![^\s>])~{3,}")
PREFIX = re.compile(r"[ \t]*(?:(?:>|[-*+•]|\d{1,3}[.)])[ \t]*)*\Z")
WORD = re.compile(r"[ \t]*\{?\.?([A-Za-z][\w+#.:-]*|)\}?[ \t\r]*(?=\n|\Z)")
"""A word for the language, or nothing, up to the end of the line."""
INFO = re.compile(r"[ \t]*([\w+#.-]*)[^`\n]*(?=\n|\Z)")
BLANK = re.compile(r"[ \t]*[.,;:!)*_]*[ \t\r]*(?=\n|\Z)")
QUOTES = re.compile(r'(?<!\\)(?:"""|\'\'\')')
LONGEST_PREFIX = 100
"""Characters; a fence further in is within a line."""
MAX_NESTED = 8
"""Fences that are passed over in search of the end of a block whose first closing fence is inside a string."""


_WARNINGS = threading.Lock()
"""Python's warning filters are those of the process."""


@dataclass(frozen=True, slots=True)
class Block:
    """The content of a block, the language named at its fence, the text before it, and whether its end is missing."""

    code: str
    language: str
    before: str
    is_open: bool = False


def find_blocks(text: str) -> Iterator[Block]:
    """The blocks of `text`, in order; those that were never closed are open."""
    fences = [_Fence(text, match) for match in FENCE.finditer(text)]
    at, end = 0, 0
    while at < len(fences):
        opening = fences[at]
        if opening.info is None:  # a span within a line, or a stray fence
            is_span = at + 1 < len(fences) and "\n" not in text[opening.end : fences[at + 1].start]
            at += 2 if is_span else 1
            continue
        close = _find_close(text, fences, at)
        stop = fences[close].start if close < len(fences) else len(text)
        is_open = close == len(fences) or not fences[close].closes(opening)
        code = _strip_margin(text[opening.code_start : stop])
        yield Block(code, opening.info.lower(), text[end : opening.start], is_open)
        at = close if is_open else close + 1
        end = stop if is_open else fences[close].end


def find_gaps(text: str) -> Iterator[Block]:
    """The text before the first fence, and between each and the next: for replies whose fences do not match."""
    fences = [_Fence(text, match) for match in FENCE.finditer(text)]
    if fences:
        yield Block(_strip_margin(text[: fences[0].start]), "", "")
    for one, other in pairwise(fences):
        if one.info is not None:
            yield Block(_strip_margin(text[one.code_start : other.start]), one.info.lower(), "")


def parse(code: str) -> ast.Module | None:
    """The syntax tree of `code`, None if it is no Python."""
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\\d"
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Fence:
    """One run of backticks or tildes in `text`. `info` is None if it cannot open a block."""

    def __init__(self, text: str, match: re.Match[str]) -> None:
        self.run, self.start, self.end = match[0], match.start(), match.end()
        near = max(0, self.start - LONGEST_PREFIX)
        prefix = text[text.rfind("\n", near, self.start) + 1 or near : self.start]
        self.is_first = len(prefix) < LONGEST_PREFIX and PREFIX.match(prefix) is not None
        word = WORD.match(text, self.end)
        info = INFO.match(text, self.end) if self.is_first else word
        self.info = None if info is None or (self.run[0] == "~" and not self.is_first) else info[1]
        self.code_start = min(info.end() + 1, len(text)) if info else self.end
        self.names_language = self.is_first and word is not None and word[1] != ""
        self.ends_line = BLANK.match(text, self.end) is not None

    def closes(self, opening: _Fence) -> bool:
        """Whether this fence can close the block of `opening`."""
        return self._fits(opening) and not self.names_language and (self.is_first or self.ends_line)

    def replaces(self, opening: _Fence) -> bool:
        """Whether this fence begins another block inside that of `opening`."""
        return self._fits(opening) and self.names_language

    def _fits(self, opening: _Fence) -> bool:
        return self.run.startswith(opening.run)


def _find_close(text: str, fences: list[_Fence], at: int) -> int:
    """The number of the fence that ends the block of fence `at`: closes it, or begins another; len(fences) for none."""
    opening = fences[at]
    quote, read, first_in_string = "", opening.code_start, -1
    for number in range(at + 1, len(fences)):
        fence = fences[number]
        is_closing = fence.closes(opening)
        if not is_closing and not fence.replaces(opening):
            continue
        for mark in QUOTES.finditer(text, read, fence.start):
            quote = mark[0] if not quote else "" if mark[0] == quote else quote
        read = max(read, fence.start)
        if not quote and (first_in_string < 0 or (is_closing and parse(text[opening.code_start : fence.start]))):
            return number
        if quote and first_in_string < 0:
            first_in_string = number
        if first_in_string >= 0 and number - first_in_string >= MAX_NESTED:
            break
    return first_in_string if first_in_string >= 0 else len(fences)


def _strip_margin(block: str) -> str:
    """Without the quotation marks, up to three, and the indentation that all lines share."""
    lines = [line for line in block.splitlines() if line.strip()]
    for _ in range(3):
        if not lines or any(line.lstrip()[:1] != ">" or line.lstrip().startswith(">>>") for line in lines):
            break
        block = re.sub(r"^[ \t]*>[ \t]?", "", block, flags=re.MULTILINE)
        lines = [line for line in block.splitlines() if line.strip()]
    margin = min((len(line) - len(line.lstrip(" \t")) for line in lines), default=0)
    return re.sub(rf"^[ \t]{{1,{margin}}}", "", block, flags=re.MULTILINE) if margin else block
