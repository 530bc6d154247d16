"""A row of a thought in an answer is a leak, a repeated line before a cut-off is a loop; only forced replies count."""

from __future__ import annotations

import pytest

from experiments.tiny.leakage import leakage
from z1.records import Attempt


def attempt(answer: str, shift: str = "budget", end: str = "stop") -> Attempt:
    spans = [["thought", 0, 1], ["hint", 1, 2], ["answer", 2, 3]]
    return Attempt("p", 8, 0, [1], [1, 2, 3], spans, ["1| a = 3", "hint", answer], {}, end, shift, "wrong", "", "")


@pytest.mark.parametrize(
    ("answer", "end", "leaks", "loops"),
    [
        ("The final answer is 7.", "stop", 0, 0),
        ("2| b = 4\nThe final answer is 7.", "stop", 1, 0),
        ("3 + 4 -> 7", "stop", 1, 0),
        ("so so\nso so\nso", "cut", 0, 1),
        ("so so\nso so\n", "stop", 0, 0),  # it found the end
        ("", "cut", 0, 0),
    ],
)
def test_leaks_and_loops(answer: str, end: str, leaks: int, loops: int) -> None:
    found = leakage([attempt(answer, end=end)])
    assert found["shifted"] == 1
    assert [found[key][1] for key in ("leaks", "loops")] == [leaks, loops]  # type: ignore[index]


def test_only_replies_that_were_shifted_count() -> None:
    assert leakage([attempt("1| a = 3", "natural"), attempt("1| a = 3", "")]) == {"shifted": 0}
    assert leakage([attempt("1| a = 3"), attempt("7."), attempt("1| a = 3", "natural")])["leaks"][1] == 0.5  # type: ignore[index]
