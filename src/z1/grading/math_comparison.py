r"""Compares two answers in LaTeX with math-verify. This source runs in a sandbox; it imports nothing of z1.

Guards stand where math-verify calls different answers equal: it rounds numbers to six decimals, so that 1/2006! is
1/2004! (Math-Verify#14), and takes a letter behind a number for a unit, so that 3c is 3.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify
from math_verify.grader import Basic, Float, MatrixBase
from math_verify.parser import NormalizationConfig

logging.getLogger("math_verify").setLevel(logging.CRITICAL + 1)
print("imported", flush=True)  # tells a missing library from a comparison that failed

CONFIG = LatexExtractionConfig(
    normalization_config=NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
)
DIGITS = 50
EXACT, ROUNDED = 1e-30, 1e-4
"""Relative differences that still are equal: of exact values, and where one is a decimal."""


def check(expected: str, got: str) -> bool | None:
    """Whether `got` equals `expected`; None if either cannot be read."""
    gold, answer = (_parse(text) for text in (expected, got))
    if not gold or not answer:
        return None
    return any(
        bool(verify(one, other, timeout_seconds=None, allow_set_relation_comp=True)) and not _differ(one, other)
        for one in gold
        for other in answer
    )


def _parse(text: str) -> list[Any]:
    return list(parse(f"${text}$", extraction_config=[CONFIG], parsing_timeout=None))


def _differ(gold: Any, answer: Any) -> bool:
    """Whether two values that math-verify calls equal are different numbers, as a whole or part by part."""
    if not isinstance(gold, Basic | MatrixBase) or not isinstance(answer, Basic | MatrixBase):
        return False
    if _is_condition(gold) or _is_condition(answer):  # equations have many forms
        return False
    if hasattr(gold, "as_numer_denom") and hasattr(answer, "as_numer_denom"):  # expressions
        return _numbers_differ(gold, answer)
    parts, others = (_parts(one) for one in (gold, answer))
    if len(parts) != len(others):
        return False
    return any(all(_differ(part, other) for other in others) for part in parts)


def _parts(value: Any) -> list[Any]:
    found = value if isinstance(value, MatrixBase) else value.args
    return [part for part in found if not _is_condition(part)]


def _is_condition(value: Any) -> bool:
    return bool(getattr(value, "is_Boolean", False) or getattr(value, "is_Relational", False))


def _numbers_differ(gold: Any, answer: Any) -> bool:
    """Whether two expressions have different values, at one point if they have variables."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    point = {symbol: Fraction(97 + 12 * place, 89) for place, symbol in enumerate(symbols)}
    try:
        one, other = (value.subs(point).doit().evalf(DIGITS) for value in (gold, answer))
        if not (one.is_number and other.is_number and one.is_finite and other.is_finite):
            return False
        allowed = ROUNDED if gold.has(Float) or answer.has(Float) else EXACT
        return bool(abs(one - other) > allowed * max(abs(one), abs(other)))
    except Exception:  # sympy raises many kinds; then the guard says nothing
        return False
