"""How much does a trajectory reason, where nobody says at which level it was written?

By the words that stand outside its fenced blocks: a direct solution has few of them, a derivation many. A definition
of this project; the published Z1-Code-Reasoning-107K has no labels, and the paper (arXiv 2504.00810, section 2.1) says
only that levels rise from a direct solution to a derivation in several steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from z1.curate.words import words

BEYOND = "full"
"""The level of what has more words than any level allows."""

_FENCED = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


def prose(response: str) -> int:
    """Words outside fenced blocks; a block that is never closed reaches to the end."""
    return len(words(_FENCED.sub(" ", response)))


def derived(response: str, upto: Mapping[str, int]) -> str:
    """The first level of `upto` (level -> most words) whose words are enough, else BEYOND; "" where `upto` is empty."""
    count = prose(response) if upto else 0
    return next((level for level, most in upto.items() if count <= most), BEYOND) if upto else ""
