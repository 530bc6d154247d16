"""The heart: how long may it think, and what happens next?

    window.py   Window: what the user chose, a value
    ledger.py   Ledger: what was used, by bucket; End and Shift: how and why
    flow.py     Flow: what must happen next, told what came
    answer.py   AnswerDetector: has the answer begun, in a model without a fence?
    repetition.py  does the thought go round in circles?
    stop.py     StopStrings: is a stop string complete, in the answer?

Ids and counts only: no text, tensor, clock, engine or async; the standard library and `z1.errors` are all it imports.
Source: the Shifted Thinking Window of arXiv 2504.00810, section 2.2. It departs from the released code in that the
answer has an allowance of its own inside the total, in that the hint joins as ids, and in that an answer that has begun
is not interrupted; each is a law in CONTRIBUTING.
"""

from z1.think.answer_detector import AnswerDetector
from z1.think.flow import Finished, Flow, Force, Sample
from z1.think.ledger import Bucket, End, Ledger, Shift, Span
from z1.think.stop_strings import StopStrings
from z1.think.window import Window

__all__ = [
    "AnswerDetector",
    "Bucket",
    "End",
    "Finished",
    "Flow",
    "Force",
    "Ledger",
    "Sample",
    "Shift",
    "Span",
    "StopStrings",
    "Window",
]
