"""Answers that a text states without a box."""

from __future__ import annotations

import time

import pytest

from z1.grading.stated_answers import extract_stated

STATED = [
    ("The answer is **73**.", "73"),
    ("The answer is \\frac{3}{4}.", "\\frac{3}{4}"),
    ("The answer is 3.5.", "3.5"),
    ("The answer is (3, 4).", "(3, 4)"),
    ("The answer is 1/2.", "1/2"),
    ("The final answer is: Evelyn", "Evelyn"),
    ("The answer is June 20.", "June 20"),
    ("The answer is $x = 2$ or $x = 3$.", "x = 2, x = 3"),
    ("The final answer is $(-\\infty, 2)\\cup(3,\\infty)$.", "(-\\infty, 2)\\cup(3,\\infty)"),
    ("The answer is 5 because 2 + 3 = 5.", "5"),
    ("The answer is, of course, 5.", "5"),
    ("The answer is approximately 3.14.", "3.14"),
    ("The answer to the first part is 3, so the answer is 9.", "9"),
    ("The answer is 5. Wait, the answer is 7.", "7"),
    ("The answer is 7. I checked that the answer is right.", "7"),
    ("So it is.\n#### 1,250", "1,250"),
    ("<answer>42</answer> or so", "42"),
    ("答案是42", "42"),
    ("The thought, 5.\n</think>\n\nSo the total is 42.", "42"),
    ("The thought, 5.\n</think>\n\nWe multiply.\n\nTherefore, it is 42.", "42"),
]
NONE = [
    *("it is 42", "The answer is not clear.", "The answer is correct.", "Just think.", "So 42 is it.\n\nOk.", ""),
    *("The thought, 5.\n</think>\n\nWe multiply 6 by 7.\n\nThat was easy.", "The answer"),
]


@pytest.mark.parametrize(("text", "answer"), STATED)
def test_a_stated_answer_is_read(text: str, answer: str) -> None:
    assert extract_stated(text) == answer


@pytest.mark.parametrize("text", NONE)
def test_what_states_nothing_has_no_answer(text: str) -> None:
    assert extract_stated(text) is None


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", ["The answer is " * 20_000, "answer: the\n" * 20_000, "$" * 100_000, "So " * 100_000])
def test_repetition_takes_linear_time(text: str) -> None:
    began = time.process_time()
    extract_stated(text)
    assert time.process_time() - began < 5
