"""Canonical answers: equal for the same answer in other forms, different for other answers."""

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
def test_forms_of_the_same_answer_are_equal(one: str, other: str) -> None:
    assert canonical_answer(one) == canonical_answer(other) != ""


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_different_answers_are_not_equal(one: str, other: str) -> None:
    assert canonical_answer(one) != canonical_answer(other)


def test_blank_text_has_no_answer() -> None:
    assert canonical_answer("") == canonical_answer(" \n ") == ""


@given(st.text(alphabet="\\boxed{}`[\"'$. \n1,e/0-aAnswer:is()"))
def test_any_text_has_a_stable_canonical_answer(text: str) -> None:
    assert canonical_answer(text) == canonical_answer(text)


def test_huge_numbers_are_treated_as_text() -> None:
    assert canonical_answer("\\boxed{1e999999999}") == "box 1e999999999"
    assert canonical_answer("[" * 100_000) == "line " + "[" * 100_000


def test_the_answer_starts_at_the_hint_or_is_the_whole_reply() -> None:
    parts = [("thought", "so "), ("hint", "thus: "), ("answer", "7"), ("stop", "<end>")]
    assert answer_parts(parts) == ["thus: ", "7"]
    assert answer_parts([parts[0], parts[3]]) == ["so "]
    assert answer_parts([parts[0], ("close", "</t>"), parts[2]]) == ["7"]
