"""What an answer says, apart from how it says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z1.grading.equivalence import answer_parts, canonical_answer

SAME = [
    ("The final answer is \\boxed{12}.", "Hence it must be $\\boxed{ 12 }$"),
    ("\\boxed{1,000}", "\\boxed{1000.0}"),
    ("\\boxed{1/2}", "\\boxed{0.5}"),
    ("\\boxed{\\dfrac{1}{2}}", "\\boxed{\\frac{1}{2}}"),
    ("\\boxed{\\text{B}}", "The answer is (B)."),
    ("the answer is: 42", "Answer: **42**."),
    ("first line\n\n So  7 . \n", "so 7"),
    ("```python\ndef f(x):\n    return x  # this\n```", "Finally:\n```\ndef f(x): return x\n```"),
    ('{"a": 1, "b": [2]}', ' {"b": [2],\n "a": 1}'),
]
OTHER = [
    ("\\boxed{12}", "\\boxed{21}"),
    ("\\boxed{12}", "12 is not it \\boxed{"),
    ("\\boxed{1,00}", "\\boxed{100}"),
    ("\\boxed{1 2}", "\\boxed{12}"),
    ("\\boxed{-1}", "\\boxed{1}"),
    ("answer: A", "answer: B"),
    ("```\nreturn_ = 1\n```", "```\nreturn_ = 2\n```"),
    ("```\nnot python 1\n```", "```\nnot python 2\n```"),
    ('{"a": 1}', '{"a": 2}'),
    ("42", ""),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_said_in_other_words(one: str, other: str) -> None:
    assert canonical_answer(one) == canonical_answer(other) != ""


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_differs(one: str, other: str) -> None:
    assert canonical_answer(one) != canonical_answer(other)


def test_nothing_is_said_by_nothing() -> None:
    assert canonical_answer("") == canonical_answer(" \n ") == ""


@given(st.text(alphabet="\\boxed{}`[\"'$. \n1,e/0-aAnswer:is()"))
def test_any_text_says_something_or_nothing(text: str) -> None:
    assert canonical_answer(text) == canonical_answer(text)


def test_huge_numbers_are_texts() -> None:
    assert canonical_answer("\\boxed{1e999999999}") == "box 1e999999999"
    assert canonical_answer("[" * 100_000) == "line " + "[" * 100_000


def test_a_reply_answers_from_its_hint_on_or_in_all_of_it_where_no_answer_was_seen() -> None:
    told = [("thought", "so "), ("hint", "thus: "), ("answer", "7"), ("stop", "<end>")]
    assert answer_parts(told) == ["thus: ", "7"]
    assert answer_parts([told[0], told[3]]) == ["so "]
    assert answer_parts([told[0], ("close", "</t>"), told[2]]) == ["7"]
