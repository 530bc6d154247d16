"""Comparison by math-verify, with guards where it calls different answers equal."""

from __future__ import annotations

import pytest

pytest.importorskip("math_verify")

from z1.grading.math_comparison import check

EQUAL = [
    ("\\frac{1}{2}", "0.5"),
    ("\\frac{1}{3}", "0.333333"),
    ("2^{-99}", "\\frac{1}{2^{99}}"),
    ("y = 2x+3", "2x - y + 3 = 0"),
    ("\\begin{pmatrix} 1 \\\\ -2 \\end{pmatrix}", "\\begin{bmatrix} 1 \\\\ -2 \\end{bmatrix}"),
    ("\\{1, 2\\}", "2, 1"),
    ("x^2+2x+1", "(x+1)^2"),
    ("\\sqrt{5+2\\sqrt{6}}", "\\sqrt{2}+\\sqrt{3}"),
]
DIFFERENT = [
    ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
    ("2^{-99}", "2^{-98}"),
    ("(2^{-99}, 1)", "(2^{-98}, 1)"),
    ("\\{2^{-99}, 1\\}", "\\{2^{-98}, 1\\}"),
    ("2^{-99}x", "2^{-98}x"),
    ("0.0000001", "0.0000002"),
    ("3", "3c"),
    ("3c", "3m"),
    ("1000000007", "1000000009"),
    ("\\begin{pmatrix} 2^{-99} \\\\ 1 \\end{pmatrix}", "\\begin{pmatrix} 2^{-98} \\\\ 1 \\end{pmatrix}"),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_answers_are_equal(gold: str, answer: str) -> None:
    assert check(gold, answer) is True


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_answers_are_different(gold: str, answer: str) -> None:
    assert check(gold, answer) is False
    assert check(answer, gold) is False
