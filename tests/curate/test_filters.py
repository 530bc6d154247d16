"""Each filter returns the reason to drop a candidate, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from z1.curate import filters
from z1.curate.filters import (
    NGRAM_WORDS,
    check_answer,
    check_code,
    check_ended,
    check_passed,
    drop_reason,
    foreign_script_share,
    repetition,
)
from z1.curate.plan import CheckSettings
from z1.curate.sources import Candidate

GOOD = Candidate(
    "a",
    "p",
    "Q?",
    "So\n```python\nprint(7)\n```\nand \\boxed{7}",
    "7",
    end="stop",
    passed=True,
    tokens=30,
    answer="right",
)
STRICT = CheckSettings(code=True, answer=True, passed=True, repetition=0.2, max_tokens=100)


def words(first: int, count: int) -> str:
    return " ".join(f"w{n}" for n in range(first, first + count))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("", 0.0),
        (words(0, 500), 0.0),
        (" ".join([words(0, NGRAM_WORDS - 1), "x", words(0, NGRAM_WORDS - 1)]), 0.0),
        (" ".join([words(0, 100)] * 2), 0.5),
        (" ".join([words(0, 50)] * 10), 0.9),
        (" ".join([words(0, NGRAM_WORDS), words(100, 60), words(0, NGRAM_WORDS)]), 0.2),
    ],
)
def test_repetition_is_the_share_of_words_in_repeated_ngrams(text: str, score: float) -> None:
    assert repetition(text) == pytest.approx(score)


def test_a_loop_of_one_word_is_nearly_all_repetition() -> None:
    assert repetition("wait " * 1000) > 0.97


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"end": "length"}, "ended by length"),
        ({"end": "", "tokens": 99}, ""),
        ({"end": "", "tokens": 100}, "cut at 100 tokens"),
        ({"end": "", "response": "So\n```python\nprint("}, "unclosed code fence"),
        ({"end": "", "response": "So\n~~~python\nprint("}, "unclosed code fence"),
        ({"end": "", "response": "So: ```python\nprint("}, "unclosed code fence"),
        ({"end": "", "response": "So\n```python\nprint(1)```"}, ""),
        ({"end": "", "response": "So\n````\n```\nx\n````"}, ""),
        ({"end": "", "response": "So `x` and ```y``` and\n~~~\nprint(1)\n~~~"}, ""),
    ],
)
def test_a_finish_reason_other_than_stop_is_dropped(change: dict[str, Any], why: str) -> None:
    assert check_ended(replace(GOOD, **change), 100) == why


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ("```\nx\n```", ""),
        ("  ```py\nx\n  ```", ""),
        ("```\n\n```", "no code"),
        ("`x`", "no code"),
        ("```\nx", "no code"),
        ("~~~\nx\n~~~", ""),
        ("````\nx\n````", ""),
        ("```python\nx```", ""),
        ("> ```\n> x\n> ```", ""),
        ("def f():\n    return 1", ""),
        ("7", "no code"),
    ],
)
def test_code_is_a_closed_fence_that_is_not_empty_or_a_program_as_a_whole(response: str, why: str) -> None:
    assert check_code(replace(GOOD, response=response)) == why


def test_the_answer_must_be_right_if_there_is_a_reference() -> None:
    assert check_answer(GOOD) == ""
    assert check_answer(replace(GOOD, answer="wrong")) == "answer wrong"
    assert check_answer(replace(GOOD, answer="")) == "answer not compared"
    assert check_answer(replace(GOOD, answer="", reference="")) == ""


def test_tests_that_did_not_run_are_not_passed() -> None:
    assert [check_passed(replace(GOOD, passed=value)) for value in (True, False, None)] == [
        "",
        "tests failed",
        "tests not run",
    ]


def test_the_plan_enables_filters() -> None:
    assert drop_reason(GOOD, STRICT) == ""
    assert drop_reason(replace(GOOD, response=" \n"), STRICT) == "no response"
    assert drop_reason(replace(GOOD, response="wait " * 99), STRICT) == "repetition over 0.2"
    assert drop_reason(replace(GOOD, response="none", passed=False), STRICT) == "no code"
    assert drop_reason(replace(GOOD, response="none", passed=False), CheckSettings()) == ""


@pytest.mark.parametrize(
    ("question", "response", "share"),
    [
        ("Q", "Plain 123 text, `code_1` and λ, π, 𝑥ⁿ, ﬁ, ℝ, ℓ, ä, 2×3 → ∞ 😀", 0.0),
        ("Q", "", 0.0),
        ("Q", "abcd 首先", 2 / 6),
        ("Q", "首先", 1.0),
        ("这是什么?", "abcd 首先", 0.0),
        ("это?", "abcd 首先", 2 / 6),
        ("Q", "да", 1.0),
        ("Q", "こ漢", 1.0),
    ],
)
def test_the_share_of_letters_in_foreign_scripts(question: str, response: str, share: float) -> None:
    assert foreign_script_share(question, response) == pytest.approx(share)


def test_a_trajectory_above_the_script_share_is_dropped() -> None:
    one = Candidate("a", "p", "Q", "abcdefghi 首", tokens=1)
    assert filters.drop_reason(one, CheckSettings(language=0.09)) == "foreign script"
    assert filters.drop_reason(one, CheckSettings(language=0.1)) == ""
    assert filters.drop_reason(Candidate("a", "p", "Q", "首", tokens=1), CheckSettings(language=1)) == ""
