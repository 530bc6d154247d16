"""Model families: how each thinks, and how its thought is ended.

rows.py       Profile and PROFILES: chat template, think tags and hints, one row a family
hints.py      AnswerKind, hints by kind of answer, and what closes a thought that was cut
detection.py  the family of a model, with the reason
"""

from z1.families.detection import Family, detect_family
from z1.families.hints import (
    LONGEST_CLOSINGS,
    MAX_BIAS,
    MAX_CLOSING,
    NUDGE,
    WRAP_UP,
    AnswerKind,
    Hint,
    closing_texts,
    is_border,
    is_line_or_sentence_end,
    without_closing,
)
from z1.families.rows import HINT, PROFILES, Profile

__all__ = [
    "HINT",
    "LONGEST_CLOSINGS",
    "MAX_BIAS",
    "MAX_CLOSING",
    "NUDGE",
    "PROFILES",
    "WRAP_UP",
    "AnswerKind",
    "Family",
    "Hint",
    "Profile",
    "closing_texts",
    "detect_family",
    "is_border",
    "is_line_or_sentence_end",
    "without_closing",
]
