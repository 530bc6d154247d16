"""The answer that a text states without a box: what follows the last "the answer is", the hint of a thinking window.

The answer may be dressed: emphasis, dollars, display mathematics or a fence on lines of their own, a whole sentence
("Therefore, the total is 42."). A sentence about the answer ("the answer is correct") is passed over.
"""

from __future__ import annotations

import re
from collections import deque

from z1.grading.thoughts import split_thought

MARK = re.compile(
    r"\b(?:answer|antwort|respuesta|réponse)\b(?:\s*\*\*)?[^.!?\n:=]{0,40}?"
    r"(?:\b(?:is|be|are|equals|ist|es|est)\b|[:=]|\n)|####|<answer>|(?:答案|答え)[是为為は:]?",
    re.IGNORECASE,
)
LAYOUT = " \t\r\n:*_>#"
FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
DISPLAYED = re.compile(r"\\\[(.*?)\\\]|\$\$(.*?)\$\$", re.DOTALL)
SPAN = r"(?:\$(?!\$)[^$\n]+\$|\\\([^\n]*?\\\)|\*\*[^*\n]+\*\*|`[^`\n]+`)"
SPANS = re.compile(rf"{SPAN}(?:\s*(?:,|,?\s*and|,?\s*or)\s*{SPAN})*")
SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?](?![\s*_]|\Z)|(?<=\b[A-Za-z])\.(?=\s?[a-z]))+")
REASON = re.compile(
    r"[,;]?\s+(?:since|because|as|which|where|so|obtained|based|given|after|when|by|from|for|if|in|using)\b.*"
    r"|[,;]\s+(?:and|but)\s.*",
    re.DOTALL,
)
LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|and|of course|clearly|approximately|about|just|exactly|indeed|finally)\b"
    r"|[-*+>•]\s|[\s,:])+",
    re.IGNORECASE,
)
LINK = re.compile(
    r".*(?:\b(?:is|are|was|were|equals?|equal to|be|get|gives?|have|has|makes?|costs?|needs?|takes?|totals?)\b|:)\s",
    re.DOTALL,
)
ARITHMETIC = re.compile(r"[^A-Za-z=]*(?:\\(?:times|cdot|div|frac|sqrt)[^A-Za-z=]*)*=")
NUMBER = re.compile(r"-?(?:\\\$|\$)?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?")
ABOUT = re.compile(
    r"(?:not|correct|right|wrong|clear|unique|as|below|above|obtained|found|given|computed|calculated|the)\b",
    re.IGNORECASE,
)
BARE = re.compile(r"(?:```[^`]*```|\\\[.*\\\]|\$\$.*\$\$|[^\w\n]*(?:[A-Za-z] ?= ?)?[-$\\]*[\d\\][^\n]*)", re.DOTALL)
"""A paragraph that begins with a value."""

CONCLUSION = re.compile(r"(?:so|thus|hence|therefore)\b", re.IGNORECASE)
MAX_LENGTH = 2_000
"""Characters that are read behind a mark."""

MAX_MARKS = 50
MAX_WORDS = 5
"""Words of an answer in words, such as a name."""


def extract_stated(text: str) -> str | None:
    """The stated answer, None without one."""
    for mark in reversed(deque(MARK.finditer(text), maxlen=MAX_MARKS)):
        if value := _value(text[mark.end() : mark.end() + MAX_LENGTH].partition("</answer>")[0]):
            return value
    thought, behind = split_thought(text)
    paragraphs = [part.strip() for part in behind[:MAX_LENGTH].split("\n\n") if part.strip()]
    if not paragraphs or len(behind) > MAX_LENGTH:
        return None
    is_bare = BARE.fullmatch(paragraphs[0]) is not None
    if not thought:
        is_short = len(re.findall(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", "", behind))) <= 2
        return _value(behind.strip()) if is_bare and is_short else None
    if is_bare or len(paragraphs) == 1:
        return _value(behind.strip())
    return _value(paragraphs[-1]) if CONCLUSION.match(paragraphs[-1]) else None


def _value(rest: str) -> str | None:
    """The answer at the beginning of `rest`; an open box is none."""
    bare = rest.lstrip(LAYOUT.replace("*", ""))
    bare = bare[2:].lstrip(LAYOUT) if bare.startswith(("**\n", "** ")) else re.sub(r"^[-+*]\s+", "", bare)
    if block := FENCED.match(bare) or DISPLAYED.match(bare):
        return next((group.strip() for group in block.groups() if group and group.strip()), None)
    line = bare.partition("\n")[0].strip()
    if "\\boxed" in line or "\\fbox" in line:
        return None
    if spans := SPANS.match(line):
        return _inner(spans[0])
    sentence = SENTENCE.match(line)
    return _of_sentence(sentence[0].strip() if sentence else line)


def _of_sentence(sentence: str) -> str | None:
    """The value that a sentence ends in, or is."""
    short = REASON.sub("", sentence).strip(" *_`:;,")
    short = short[match.end() :] if (match := LEAD.match(short)) else short
    numbers = NUMBER.findall(short)
    if spans := list(SPANS.finditer(short)):
        return _inner(spans[-1][0])
    if not ABOUT.match(short):
        if link := LINK.match(short):
            return _of_sentence(short[link.end() :])
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", "", short))
        if "=" in short and (words or ARITHMETIC.match(short)):
            return short.rpartition("=")[2].strip() or None
        if (len(words) <= 2 and re.search(r"\d|\\", short)) or (not numbers and len(words) <= MAX_WORDS):
            return short or None
    return str(numbers[0]) if len(numbers) == 1 else None


def _inner(spans: str) -> str:
    """The contents of spans, joined if there are several."""
    return ", ".join(
        re.sub(r"^(?:\$|\\\(|\*\*|`)|(?:\$|\\\)|\*\*|`)$", "", one).strip() for one in re.findall(SPAN, spans)
    )
