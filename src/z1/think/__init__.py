"""The core: thinking budgets as values, and the next step of a reply.

    window.py            Window: thinking budget, answer budget, hint and stop tokens of a reply; Closing
    flow.py              Flow: the next step (sample, force, finished), given the tokens so far
    ledger.py            Ledger: tokens used, by bucket; Shift and End: why the thought and the reply ended
    answer_detector.py   AnswerDetector: the start of the answer in a model without think tags
    stop_strings.py      StopStrings: the first stop string in an answer
    repetition.py        has_loop; Repetition: what happens to a reply that repeats itself
    soft_landing.py      SoftLanding: how a thought ends at its limit; EndBias

Token ids and counts only: no text, tensor, clock, engine or async. The package imports the standard library and
`z1.errors`.

Source: the Shifted Thinking Window of arXiv 2504.00810, section 2.2. Departures from the released code: the answer has
a budget of its own inside the total, the hint joins as token ids, and an answer that has begun is not interrupted. Each
is an invariant in docs/window.md.
"""

from z1.think.answer_detector import AnswerDetector
from z1.think.flow import Finished, Flow, Force, Sample
from z1.think.ledger import FORCED, THINKING, Bucket, End, Ledger, Shift, Span
from z1.think.repetition import Repetition
from z1.think.soft_landing import EndBias, SoftLanding
from z1.think.stop_strings import StopStrings
from z1.think.window import Closing, Window

__all__ = [
    "FORCED",
    "THINKING",
    "AnswerDetector",
    "Bucket",
    "Closing",
    "End",
    "EndBias",
    "Finished",
    "Flow",
    "Force",
    "Ledger",
    "Repetition",
    "Sample",
    "Shift",
    "SoftLanding",
    "Span",
    "StopStrings",
    "Window",
]
