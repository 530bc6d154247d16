"""Whether two answers are equal, if no reference answer is known.

Compares a probe's answer with the previous one, or the answer after a short thought with that after a long one.
`canonical_answer` reduces an answer to its content: its last box, its last program, its JSON, the letter it chooses, or
else its last line. Two answers are equal if their canonical forms are. This is weaker than a grader: 1/2 and 0.5 are
equal, x + 1 and 1 + x are not. Dynasor (arXiv 2412.20993) compares boxes only.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import TypeVar

from z1.families import without_closing
from z1.grading.boxed import extract_boxed
from z1.grading.code_extraction import extract_code
from z1.grading.multiple_choice import extract_choice
from z1.think import Bucket

MARKUP = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol)\s*\{([^{}]*)\}|\\[,!;:() ]|[$*`]")
SPACE_BETWEEN_SYMBOLS = re.compile(r"(?<!\w) | (?!\w)")
LEAD_IN = re.compile(r"^.*\b(?:answer|result)\b[^.\n]{0,40}?(?:\bis\b|\bbe\b|:)\s*:?\s*", re.IGNORECASE)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
MAX_NUMBER_LENGTH = 60

Part = TypeVar("Part", str, bytes)


def answer_parts(parts: Iterable[tuple[str, Part]]) -> list[Part]:
    """The answer among a reply's parts by bucket: hint and answer, or all but the stop if no answer was detected.

    A hint is without what closes the thought before it.
    """
    kept = [
        (bucket, without_closing(part) if bucket == Bucket.HINT else part)
        for bucket, part in parts
        if bucket != Bucket.STOP
    ]
    answers = [part for bucket, part in kept if bucket in (Bucket.HINT, Bucket.ANSWER)]
    return answers or [part for _, part in kept]


def canonical_answer(text: str) -> str:
    """The answer in `text` in canonical form, "" for blank text. Never raises; linear in the length of `text`."""
    content = extract_boxed(text)
    if content is not None:
        return "box " + _normalize(content)
    code = extract_code(text)
    if code is not None:
        return "program " + _normalize_code(code)
    value = _normalize_json(text)
    if value:
        return "json " + value
    letter = extract_choice(text, options=10)
    if letter:
        return "box " + letter.casefold()
    lines = [line for line in text.splitlines() if line.strip()]
    return "line " + _normalize(LEAD_IN.sub("", lines[-1])) if lines else ""


def _normalize(text: str) -> str:
    """Without markup; numbers in one form."""
    bare = MARKUP.sub(lambda match: match[1] or "", text).replace("\\dfrac", "\\frac").strip()
    bare = SPACE_BETWEEN_SYMBOLS.sub("", " ".join(bare.split())).rstrip(".").casefold()
    number = THOUSANDS.sub("", bare)
    try:
        return str(Fraction(number)) if len(number) <= MAX_NUMBER_LENGTH and "e" not in number else bare
    except (ValueError, ZeroDivisionError):
        return bare


def _normalize_code(text: str) -> str:
    """Without comments and layout, if it parses as Python."""
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return " ".join(text.split())


def _normalize_json(text: str) -> str:
    try:
        value = json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        return ""
    return json.dumps(value, sort_keys=True) if value is not None else ""
