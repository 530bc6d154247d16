"""Each predicate says what is wrong, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from z1.curate.filters import RUN, agrees, ended, has_code, passed, repetition, wrong
from z1.curate.plan import CheckSettings
from z1.curate.sources import Candidate

GOOD = Candidate(
    "a", "p", "Q?", "So\n```python\nprint(7)\n```\nand \\boxed{7}", "7", end="stop", passed=True, tokens=30
)
STRICT = CheckSettings(code=True, answer=True, passed=True, repetition=0.2, longest=100)


def words(first: int, count: int) -> str:
    return " ".join(f"w{n}" for n in range(first, first + count))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("", 0.0),
        (words(0, 500), 0.0),
        (" ".join([words(0, RUN - 1), "x", words(0, RUN - 1)]), 0.0),
        (" ".join([words(0, 100)] * 2), 0.5),
        (" ".join([words(0, 50)] * 10), 0.9),
        (" ".join([words(0, RUN), words(100, 60), words(0, RUN)]), 0.2),
    ],
)
def test_repetition_is_the_share_of_words_in_runs_seen_before(text: str, score: float) -> None:
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
        ({"end": "", "response": "So\n```python\nprint("}, "an open fence at its end"),
    ],
)
def test_ended_by_itself(change: dict[str, Any], why: str) -> None:
    assert ended(replace(GOOD, **change), 100) == why


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ("```\nx\n```", ""),
        ("  ```py\nx\n  ```", ""),
        ("```\n\n```", "no code"),
        ("`x`", "no code"),
        ("```\nx", "no code"),
    ],
)
def test_code_is_a_whole_fence_with_something_in_it(response: str, why: str) -> None:
    assert has_code(replace(GOOD, response=response)) == why


def test_the_answer_agrees_with_the_reference_where_there_is_one() -> None:
    assert agrees(GOOD) == ""
    assert agrees(replace(GOOD, reference="8")) == "answer wrong"
    assert agrees(replace(GOOD, response="7")) == "answer unparsed"
    assert agrees(replace(GOOD, response="7", reference="")) == ""


def test_tests_that_nobody_ran_are_not_passed() -> None:
    assert [passed(replace(GOOD, passed=value)) for value in (True, False, None)] == [
        "",
        "tests failed",
        "tests not run",
    ]


def test_the_plan_decides_what_is_wrong() -> None:
    assert wrong(GOOD, STRICT) == ""
    assert wrong(replace(GOOD, response=" \n"), STRICT) == "empty"
    assert wrong(replace(GOOD, response="wait " * 99), STRICT) == "repetition over 0.2"
    assert wrong(replace(GOOD, response="none", passed=False), STRICT) == "no code"
    assert wrong(replace(GOOD, response="none", passed=False), CheckSettings()) == ""
