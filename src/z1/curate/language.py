"""Does a trajectory fall into another language than its question's?

Told by script, since that is what a teacher slips into unasked (QwQ-32B-Preview's card warns of it:
https://huggingface.co/Qwen/QwQ-32B-Preview). The score is the share of letters of scripts in which neither code nor
formulas are written (all but Latin, Greek and mathematical letters) and of which the question has none. Two languages
of one script are not told apart.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

PLAIN = frozenset(
    {"LATIN", "GREEK", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "SUPERSCRIPT", "SUBSCRIPT", "MICRO", "FULLWIDTH"}
)
"""First words of the Unicode names of letters that stand in code, formulas and English text."""

_LETTER = re.compile(r"[^\W\d_]")

_BEYOND_ASCII = re.compile(r"[^\W\d_\x00-\x7f]")


@cache
def script(letter: str) -> str:
    """The script of a letter, as the first word of its Unicode name; "" where it has none."""
    return unicodedata.name(letter, "").split(" ", 1)[0]


def foreign(question: str, response: str) -> float:
    """Share of the letters of `response`, 0 to 1, in scripts that neither code nor the question is written in."""
    beyond = [] if response.isascii() else _BEYOND_ASCII.findall(response)
    if not beyond:
        return 0.0
    known = PLAIN | {script(letter) for letter in _BEYOND_ASCII.findall(question)}
    return sum(script(letter) not in known for letter in beyond) / len(_LETTER.findall(response))
