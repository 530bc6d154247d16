"""Reasoning level of an unlabelled trajectory, from its number of words outside code.

A direct solution has few words outside its fenced blocks, a derivation many. The definition is ours: the published
Z1-Code-Reasoning-107K has no labels, and the paper (arXiv 2504.00810, section 2.1) says only that levels range from a
direct solution to a derivation in several steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from z1.curate.ngram_overlap import words

LAST_LEVEL = "full"
"""The level of a response with more words than any level allows."""

_FENCED = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


def count_prose_words(response: str) -> int:
    """Words outside fenced blocks; an unclosed block extends to the end."""
    return len(words(_FENCED.sub(" ", response)))


def derive_level(response: str, max_words: Mapping[str, int]) -> str:
    """The first level of `max_words` that allows the words of `response`, else LAST_LEVEL; "" if it is empty."""
    if not max_words:
        return ""
    count = count_prose_words(response)
    return next((level for level, most in max_words.items() if count <= most), LAST_LEVEL)
