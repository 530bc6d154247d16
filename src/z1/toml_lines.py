"""The line of a TOML file where a key is: tomllib gives values without their places.

A key that is not in the file has the line of the innermost table of it that is. Reads tables, tables in lists, and keys
at the beginning of a line; keys within inline tables have the line of their table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Path = tuple[int | str, ...]
"""Keys from the root on; numbers are places in lists, from 0."""

_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_NAME = rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*"
_TABLE = re.compile(rf"^\s*(\[\[?){_NAME}\]")
_KEY = re.compile(rf"^{_NAME}=")
_QUOTES = re.compile(r'"""|\'\'\'')


def find_line(text: str, path: Sequence[int | str]) -> int:
    """The number of the line, from 1, of the key at `path`, or of the innermost table around it; 1 for the root."""
    wanted, best, depth = tuple(path), 1, 0
    for number, found in _keys(text):
        shared = len(found) if found == wanted[: len(found)] else 0
        if shared > depth:
            best, depth = number, shared
    return best


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    """The tables and keys of a file, in order, with their lines."""
    table: Path = ()
    counts: dict[Path, int] = {}
    quotes = ""
    for number, line in enumerate(text.splitlines(), 1):
        is_within = bool(quotes)
        for mark in _QUOTES.findall(line):
            quotes = mark if not quotes else "" if mark == quotes else quotes
        if is_within:
            continue
        if found := _TABLE.match(line):
            table = _resolve(_parts(found[2]), counts)
            if found[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield number, table
        elif found := _KEY.match(line):
            yield number, table + _parts(found[1])


def _parts(name: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_PART, name))


def _resolve(parts: Path, counts: dict[Path, int]) -> Path:
    """The parts of a table's name, each list followed by the place of its last table; the last part as it is."""
    found: Path = ()
    for part in parts[:-1]:
        found = (*found, part)
        if found in counts:
            found = (*found, counts[found])
    return (*found, parts[-1])
