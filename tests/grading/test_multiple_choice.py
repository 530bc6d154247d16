"""The option that a reply chooses."""

from __future__ import annotations

import pytest

from z1.grading import Verdict
from z1.grading.multiple_choice import extract_choice, grade

ROWS = [
    ("a box", "so \\boxed{B}", "B"),
    ("the last box", "\\boxed{A}, no: \\boxed{C}", "C"),
    ("text in the box", "\\boxed{\\text{D}}", "D"),
    ("bold text in the box", "\\boxed{\\textbf{(A)}}", "A"),
    ("brackets", "\\boxed{(C)}", "C"),
    ("a full stop", "\\boxed{B.}", "B"),
    ("the option's words too", "\\boxed{B. 5 kJ}", "B"),
    ("the option's words in text", "\\boxed{\\text{C) Both}}", "C"),
    ("the article a is no option", "It is a pity.", None),
    ("the article A at the start of a sentence is none", "A pity. The answer is hard to find.", None),
    ("a small letter is none", "\\boxed{b}", None),
    ("E is not among four", "\\boxed{E}", None),
    ("two letters", "\\boxed{A, B}", None),
    ("a number", "\\boxed{7}", None),
    ("an answer in words", "The answer is (D).", "D"),
    ("an answer in bold", "**Answer:** C", "C"),
    ("an answer in bold inside", "Answer: **C**", "C"),
    ("the final answer of a window", "the final answer should be:\n\nB", "B"),
    ("the last of two answers", "The answer is A. No, the answer is C.", "C"),
    ("the answer is a thing", "The answer is A-type stars", None),
    ("a box that was cut off", "\\boxed{B", None),
    ("an empty box", "\\boxed{}", None),
    ("nothing", "", None),
]


@pytest.mark.parametrize(("name", "text", "letter"), ROWS, ids=[row[0] for row in ROWS])
def test_the_chosen_letter_is_extracted(name: str, text: str, letter: str | None) -> None:
    assert extract_choice(text) == letter


def test_replies_are_graded_right_wrong_unparsed_or_cut() -> None:
    assert grade("\\boxed{B}", "B", cut=False).verdict is Verdict.RIGHT
    assert grade("\\boxed{B}", "A", cut=False).verdict is Verdict.WRONG
    assert grade("hm", "A", cut=False).verdict is Verdict.UNPARSED
    assert grade("hm", "A", cut=True).verdict is Verdict.CUT
