"""What are the words of a text, when two texts are compared?

Runs of letters and digits in lower case; punctuation, white space, underscores and LaTeX's commands for type are no
words, so that "list." is "list" and `$\\texttt{ab}$` is "ab". Does not know what is compared with what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"\\(?:text|math)[a-zA-Z]*|[^\W_]+")


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Each word with the characters [first, last + 1] of `text` in which it stands."""
    for found in _WORD.finditer(text):
        if text[found.start()] != "\\":
            yield found.group().lower(), found.start(), found.end()


def words(text: str) -> list[str]:
    """The words of `text` in order."""
    return [word.lower() for word in _WORD.findall(text) if word[0] != "\\"]
