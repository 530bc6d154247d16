"""Model families: how each thinks, and how its thought is ended.

rows.py       Profile and PROFILES: chat template, think tags and hints, one row a family
hints.py      AnswerKind, hints by kind of answer, and what closes a thought that was cut
detection.py  the family of a model, with the reason
"""

from z1.families.detection import Family, detect_family
from z1.families.hints import LONGEST_CLOSINGS, MAX_CLOSING, AnswerKind, Hint, closing_texts, without_closing
from z1.families.rows import HINT, PROFILES, Profile

__all__ = [
    "HINT",
    "LONGEST_CLOSINGS",
    "MAX_CLOSING",
    "PROFILES",
    "AnswerKind",
    "Family",
    "Hint",
    "Profile",
    "closing_texts",
    "detect_family",
    "without_closing",
]
