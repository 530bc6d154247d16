"""A trajectory passes if the program of its answer passes the tests."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.grading.test_verdict import fault
from z1.curate import verification
from z1.curate.sources import Candidate
from z1.curate.verification import answer_text, grade, grade_all
from z1.errors import UserError
from z1.grading import Verdict
from z1.sandbox import Sandbox

PYTEST = "from solution import twice\n\ndef test_it():\n    assert twice(2) == 4\n"
CHECK = "def check(candidate):\n    assert candidate(x = 2) == 4\n"
LEETCODE = "class Solution:\n    def twice(self, x: List[int]) -> int:\n        return 2 * x\n"


def one(response: str, **fields: Any) -> Candidate:
    return Candidate("a", "a", "Double it.", response, **{"tests": PYTEST, "entry": "twice", **fields})


def fenced(code: str) -> str:
    return f"So:\n```python\n{code}```\n"


GOOD, BAD = "def twice(x):\n    return 2 * x\n", "def twice(x):\n    return 5\n"

ROWS = {
    "right": (one(fenced(GOOD)), Verdict.RIGHT),
    "wrong": (one(fenced(BAD)), Verdict.WRONG),
    "right after a wrong draft in the thought": (one(f"<think>{fenced(BAD)}</think>{fenced(GOOD)}"), Verdict.RIGHT),
    "right in the thought alone": (one(f"<think>{fenced(GOOD)}</think>No."), Verdict.UNPARSED),
    "a thought that never ends": (one(f"<think>{fenced(GOOD)}", end="length"), Verdict.CUT),
    "a method that LeetCode calls": (
        one(fenced(LEETCODE), tests=CHECK, entry="Solution().twice"),
        Verdict.RIGHT,
    ),
    "classes that stand before it": (
        one(
            fenced("def twice(x):\n    return Node(x).value\n"),
            tests=CHECK,
            setup="class Node:\n    value = 4\n    def __init__(s, x): pass",
        ),
        Verdict.RIGHT,
    ),
    "a program without any words": (one(GOOD), Verdict.RIGHT),
    "words without a program": (one("return"), Verdict.UNPARSED),
    "tests that cannot be read": (one(fenced(GOOD), tests="def test_("), Verdict.MISSING),
}


@pytest.mark.parametrize("name", ROWS)
def test_verdicts(name: str) -> None:
    candidate, wanted = ROWS[name]
    assert grade(candidate).verdict is wanted


def test_concurrent_grades_come_in_order() -> None:
    found = grade_all([one(fenced(GOOD if n % 3 else BAD)) for n in range(6)])
    assert [grade.verdict for grade in found] == [Verdict.RIGHT if n % 3 else Verdict.WRONG for n in range(6)]


def test_whatever_a_grader_raises_is_missing_and_the_others_are_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, real = random.Random(2), verification.grade
    monkeypatch.setattr(
        verification, "grade", lambda candidate: fault(rng)() if candidate.id == "b" else real(candidate)
    )
    block = [one(fenced(GOOD)), *(replace(one(fenced(GOOD)), id="b") for _ in range(20))]
    assert [grade.verdict for grade in grade_all(block)] == [Verdict.RIGHT, *[Verdict.MISSING] * 20]


def test_a_machine_without_isolation_ends_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Sandbox) -> None:
        raise UserError("the sandbox", "no namespaces", "allow them")

    monkeypatch.setattr(Sandbox, "start", refuse)
    with pytest.raises(UserError, match="no namespaces"):
        grade_all([one(fenced(GOOD))])


def test_the_answer_follows_the_last_thought() -> None:
    assert answer_text("a</think>b</think>c") == "c"
    assert answer_text(" <think>a") == ""
    assert answer_text("a <think> b") == "a <think> b"


@pytest.mark.parametrize(
    ("reference", "box"),
    [
        (r"\frac{1}{2}", r"\dfrac{1}{2}"),
        ("1,000", "1000"),
        ("A", r"\text{A}"),
        ("(B)", "B"),
        (r"2\sqrt{3}", r"2 \sqrt{3}"),
        ("x=5", "5"),
        ("0.5", r"\frac12"),
        ("42", "42.0"),
        (r"90^\circ", "90°"),
        ("(1,2)", "(1, 2)"),
        ("1", "1.0"),
    ],
)
def test_an_answer_is_right_if_the_graders_say_so(reference: str, box: str) -> None:
    said = replace(one(rf"So \boxed{{{box}}}."), reference=reference)
    assert verification.grade_answers([said])[0].verdict is Verdict.RIGHT
    other = replace(said, response=r"So \boxed{7777}." if reference[0] not in "(A" else r"So \boxed{C}.")
    assert verification.grade_answers([other])[0].verdict is Verdict.WRONG


def test_an_answer_in_the_thought_alone_is_none() -> None:
    said = replace(one(r"<think>\boxed{4}</think> I do not know."), reference="4")
    assert verification.grade_answer(said).verdict is Verdict.UNPARSED
