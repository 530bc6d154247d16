"""Two ways to read the answer of a reply: strictly, in the form that every arm was taught, and leniently."""

from __future__ import annotations

import re

from z1.evaluate import hash_answer
from z1.grading import Verdict
from z1.grading.boxed import find_boxes
from z1.records import Attempt

FORM = "The final answer is \\boxed{"

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def is_right_strictly(attempt: Attempt) -> bool:
    """Whether the reply states the right answer in the form that was asked for."""
    return attempt.verdict == Verdict.RIGHT and FORM in "".join(attempt.texts)


def is_right_leniently(attempt: Attempt, answer: str) -> bool:
    """Whether the last box, or without one the last number, of the reply is the answer, whose hash is `answer`."""
    if attempt.verdict == Verdict.RIGHT:
        return True
    text = "".join(attempt.texts)
    boxes = find_boxes(text)
    numbers = NUMBER.findall(boxes[-1].content if boxes else text)
    return bool(numbers) and hash_answer(f"{float(numbers[-1].replace(',', '')):.10g}") == answer
