"""Hints: the text that is forced at the end of a cut thought, by kind of answer and by what the thought left open.

A hint has three parts, in this order. The *closing* depends on the thought: it closes an open code block, or ends a
half sentence. The hint itself ends the thought. The answer prefix begins the answer, in a form that the grader of that
kind reads. No tokenizer is used here; `z1.profiles` turns the texts into tokens.

Blocks of code are CommonMark's fenced code blocks at any indentation, since models write them inside lists.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple, TypeVar

from z1.errors import UserError

Part = TypeVar("Part", str, bytes)


class AnswerKind(StrEnum):
    """What an answer is: the benchmark or the request says so, and `TEXT` is assumed otherwise."""

    TEXT = "text"
    NUMBER = "number"
    LETTER = "letter"
    CODE = "code"

    @classmethod
    def parse(cls, value: str, name: str = "answer_kind") -> AnswerKind:
        """The kind called `value`. Raises UserError for an unknown one; `name` is the setting's."""
        if value not in list(cls):
            raise UserError(name, value, f"choose one of {', '.join(cls)}")
        return cls(value)


NUDGE = "\n\nWait, I am repeating myself. Let me try another way.\n\n"
"""Forced in a thought that repeats itself, after which it goes on."""

WRAP_UP = "\n\nI have little space left, so let me come to the answer.\n\n"
"""Forced near the limit of a thought in a family without think tags, after which it goes on."""

MAX_BIAS = 12.0
"""The bias on the think end tag at the limit of a soft landing: its logit is rarely further below the largest."""


class Hint(NamedTuple):
    """The hint after a thought, the hint where there is no thought, and the prefix of the answer."""

    text: str
    no_thinking: str
    answer_prefix: str = ""


BOXED = "The final answer is \\boxed{"
"""Begins a number; math_answers.py reads a box first."""

BOXED_LETTER = "The letter of the correct option is \\boxed{"
"""Begins a letter: after "the final answer" small models box the option's text."""

CODE_LEAD, FENCE = "The final code is:\n\n", "```"
"""Begins code. The model goes on with the name of the language."""


def hints_by_kind(end: str, no_thinking_end: str) -> tuple[tuple[AnswerKind, Hint], ...]:
    """The hints of a family for all kinds but free text, where `end` ends a thought and `no_thinking_end` none."""
    number, letter = (Hint(end, no_thinking_end, prefix) for prefix in (BOXED, BOXED_LETTER))
    code = Hint(end + CODE_LEAD, no_thinking_end + CODE_LEAD, FENCE)
    return ((AnswerKind.NUMBER, number), (AnswerKind.LETTER, letter), (AnswerKind.CODE, code))


LONGEST_CLOSINGS = ("\n    ```", "\n    ~~~", "\n``````")
"""Closings of blocks that are always kept: what needs more tokens than they do is not closed, or not indented."""

MAX_CLOSING = 1 + max(map(len, LONGEST_CLOSINGS))
"""At least as many tokens as any closing has, whatever the tokenizer: one a character, and one for its beginning."""

_OPENING = re.compile(r"((?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)(`{3,}(?!.*`)|~{3,})")
_SENTENCE_END = re.compile(r"[.!?:;…。！？：；।؟][)\]}>\"'”’»*_`$]*$")
_BORDER = re.compile(r"(?<![\d.])[.!?\u2026\u3002\uff01\uff1f\u061f\u0964][)\]}>\"'\u201d\u2019\u00bb*_`$]*$")
_FENCE_LINE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})")


def open_fence(text: str) -> tuple[str, str] | None:
    """Indentation and fence of the code block that is open at the end of `text`; None if none is.

    The marker of a list item counts as indentation, that of a quotation as itself.
    """
    fence: tuple[str, str] | None = None
    for line in text.split("\n"):
        if fence is not None and ">" in fence[0] and not line.lstrip().startswith(">"):
            fence = None  # the quotation has ended, and its block with it
        if fence is None:
            found = _OPENING.match(line)
            fence = (re.sub(r"[^ \t>]", " ", found[1]), found[2]) if found else None
            continue
        mark = line.strip(" \t\r>" if ">" in fence[0] else " \t\r")
        if mark.startswith(fence[1]) and not mark.strip(fence[1][0]):
            fence = None
    return fence


def is_border(thought: str) -> bool:
    """Whether a thought may be cut after this text: at the end of a line, a sentence or a block of code.

    Nothing inside a block of code is a border.
    """
    return is_line_or_sentence_end(thought) and open_fence(thought) is None


def is_line_or_sentence_end(text: str) -> bool:
    """Whether a text ends with a line, a sentence or a fence, which its last characters show.

    A number before a full stop may go on as a decimal, or begin an item of a list.
    """
    line = text[text.rfind("\n", 0, len(text) - 1) + 1 :].rstrip(" \t")
    return line.endswith("\n") or _BORDER.search(line) is not None or _FENCE_LINE.fullmatch(line) is not None


def closing_texts(thought: str, sentence_end: str) -> list[str]:
    """Texts that close what `thought` left open, the best first; none if nothing is open.

    An open code block is closed; the second text does so without the indentation. A half sentence ends with
    `sentence_end`; with "" it stays as it is.
    """
    fence = open_fence(thought)
    if fence is not None:
        start = "" if thought.endswith("\n") else "\n"
        return [f"{start}{indentation}{fence[1]}" for indentation in dict.fromkeys((fence[0], ""))]
    line = thought.rpartition("\n")[2].rstrip()
    is_half = re.search(r"\w", line) is not None and _SENTENCE_END.search(line) is None
    return [sentence_end] if sentence_end and is_half else []


def without_closing(hint: Part) -> Part:
    """The text of forced tokens without the closing that precedes the hint."""
    if isinstance(hint, bytes):
        return hint[len(_CLOSING_BYTES.match(hint)[0]) :]  # type: ignore[index]  # matches every text
    return hint[len(_CLOSING.match(hint)[0]) :]  # type: ignore[index]


_CLOSING = re.compile(r"(?:\n?[ \t>]*(?:`{3,}|~{3,})(?=\n)|\.\.\.)?")
_CLOSING_BYTES = re.compile(_CLOSING.pattern.encode())
