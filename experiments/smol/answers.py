"""Two ways to read the answer of a reply: strictly, in the form that every arm was taught, and leniently."""

from __future__ import annotations

import re

from z1.evaluate import hash_answer
from z1.grading import Verdict
from z1.grading.boxed import find_boxes
from z1.records import Attempt
from z1.think import Shift

FORM = "The final answer is \\boxed{"

ASKS = re.compile(r"^(?:Question|Answer):", re.MULTILINE)
"""What a base that was shown examples goes on with after its answer, in the form of the examples."""

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def is_right_strictly(attempt: Attempt) -> bool:
    """Whether the reply states the right answer in the form that was asked for.

    Of a reply that goes on with questions of its own a record has only the end of the last one: the verdict counts.
    """
    text = "".join(attempt.texts)
    return attempt.verdict == Verdict.RIGHT and (FORM in text or bool(ASKS.search(text)))


def is_right_leniently(attempt: Attempt, answer: str) -> bool:
    """Whether the last box, or without one the last number, of the reply is the answer, whose hash is `answer`.

    Of a reply that goes on with questions of its own, or up to the end of the context, the verdict counts.
    """
    text = "".join(attempt.texts)
    if attempt.verdict == Verdict.RIGHT or attempt.shift == Shift.CONTEXT or ASKS.search(text):
        return attempt.verdict == Verdict.RIGHT
    boxes = find_boxes(text)
    numbers = NUMBER.findall(boxes[-1].content if boxes else text)
    return bool(numbers) and hash_answer(f"{float(numbers[-1].replace(',', '')):.10g}") == answer
