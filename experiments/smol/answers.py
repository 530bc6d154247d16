"""Two ways to read the answer of a reply: strictly, in the form that every arm was taught, and leniently."""

from __future__ import annotations

import re

from z1.evaluate import hash_answer
from z1.grading import Verdict
from z1.grading.boxed import find_boxes
from z1.records import Attempt

FORM = "The final answer is \\boxed{"

NEXT_QUESTION = "\nQuestion:"
"""What begins each question in the prompt with examples."""

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def is_right_strictly(attempt: Attempt, answer: str) -> bool:
    """Whether the reply states the right answer, whose hash is `answer`, in the form that was asked for."""
    text, is_whole = _read(attempt)
    boxes = find_boxes(text)
    is_right = attempt.verdict == Verdict.RIGHT if is_whole else bool(boxes) and _is(boxes[-1].content, answer)
    return is_right and FORM in text


def is_right_leniently(attempt: Attempt, answer: str) -> bool:
    """Whether the last box, or without one the last number, of the reply is the answer, whose hash is `answer`."""
    text, is_whole = _read(attempt)
    if is_whole and attempt.verdict == Verdict.RIGHT:
        return True
    boxes = find_boxes(text)
    numbers = NUMBER.findall(boxes[-1].content if boxes else text)
    return bool(numbers) and _is(f"{float(numbers[-1].replace(',', '')):.10g}", answer)


def _read(attempt: Attempt) -> tuple[str, bool]:
    """The reply up to the next question, which a base that was shown examples goes on with, and whether that is all of
    it, so that the grader's verdict is about it.
    """
    text, next_question, _ = "".join(attempt.texts).partition(NEXT_QUESTION)
    return text, not next_question


def _is(text: str, answer: str) -> bool:
    return hash_answer(text) == answer
