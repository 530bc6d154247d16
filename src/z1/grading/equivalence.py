"""Do two answers say the same?

Where no right answer is known, answers can still be compared with each other: a probe's with the one before, a short
thought's with a long one's. `said` is what an answer says, apart from how it says it: the content of its last box, its
last program, its JSON, the letter it settles on, or else its last line. Two answers agree where that is equal. Weaker
than a grader: 1/2 and 0.5 agree, x + 1 and 1 + x do not. Dynasor (arXiv 2412.20993) compares boxes alone.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import TypeVar

from z1.grading.boxed import extract_boxed
from z1.grading.code_extraction import extract_code
from z1.grading.multiple_choice import extract_choice
from z1.think import Bucket

DRESS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol)\s*\{([^{}]*)\}|\\[,!;:() ]|[$*`]")
IDLE = re.compile(r"(?<!\w) | (?!\w)")
LEAD = re.compile(r"^.*\b(?:answer|result)\b[^.\n]{0,40}?(?:\bis\b|\bbe\b|:)\s*:?\s*", re.IGNORECASE)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
LONGEST_NUMBER = 60

Part = TypeVar("Part")


def answer_parts(parts: Iterable[tuple[str, Part]]) -> list[Part]:
    """Of a reply's parts by bucket those that answer: from its hint on, or all where no answer of its own was seen."""
    told = [(bucket, part) for bucket, part in parts if bucket != Bucket.STOP]
    answers = [part for bucket, part in told if bucket in (Bucket.HINT, Bucket.ANSWER)]
    return answers or [part for _, part in told]


def canonical_answer(text: str) -> str:
    """What the answer `text` says; "" where it says nothing yet. Never raises; linear in the length of `text`."""
    found = extract_boxed(text)
    if found is not None:
        return "box " + _plain(found)
    written = extract_code(text)
    if written is not None:
        return "program " + _program(written)
    whole = _json(text)
    if whole:
        return "json " + whole
    letter = extract_choice(text, options=10)
    if letter:
        return "box " + letter.casefold()
    lines = [line for line in text.splitlines() if line.strip()]
    return "line " + _plain(LEAD.sub("", lines[-1])) if lines else ""


def _plain(text: str) -> str:
    """Without dress; numbers in one form."""
    bare = DRESS.sub(lambda match: match[1] or "", text).replace("\\dfrac", "\\frac").strip()
    bare = IDLE.sub("", " ".join(bare.split())).rstrip(".").casefold()
    number = THOUSANDS.sub("", bare)
    try:
        return str(Fraction(number)) if len(number) <= LONGEST_NUMBER and "e" not in number else bare
    except (ValueError, ZeroDivisionError):
        return bare


def _program(text: str) -> str:
    """Without comments and layout, where it can be parsed."""
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return " ".join(text.split())


def _json(text: str) -> str:
    try:
        value = json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        return ""
    return json.dumps(value, sort_keys=True) if value is not None else ""
