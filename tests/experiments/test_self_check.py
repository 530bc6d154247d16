"""The first pass and the answer of one attempt are graded side by side; thoughts without a check are left out."""

from __future__ import annotations

import pytest

from experiments.tiny.self_check import self_check
from z1.records import Attempt
from z1.synthetic.trajectories import CHECK

ANSWERS = {"p": "7", "q": "7", "r": "7"}
REFERENCE = {"p": 1.0, "q": 0.5, "r": 0.0}


def attempt(first: str, verdict: str, problem: str = "p", window: int | None = None, check: str = CHECK) -> Attempt:
    thought = f"1| a = 3\n2| print(a + 4) -> 3 + 4 -> {first}\n{check}\n1| a = 3\n\n"
    spans = [["thought", 0, 1], ["answer", 1, 2]]
    return Attempt(problem, window, 0, [1], [1, 2], spans, [thought, "x"], {}, "stop", "natural", verdict, "", "")


@pytest.mark.parametrize(
    ("first", "verdict", "found"),
    [
        ("7", "right", {"first": 1, "last": 1, "mended": 0, "harmed": 0, "gained": 0, "above_first": 0}),
        ("17", "right", {"first": 0, "last": 1, "mended": 1, "harmed": 0, "gained": 1, "above_first": 1}),
        ("7", "wrong", {"first": 1, "last": 0, "mended": 0, "harmed": 1, "gained": -1, "above_first": 0}),
        ("6", "wrong", {"first": 0, "last": 0, "mended": 0, "harmed": 0, "gained": 0, "above_first": 1}),
    ],
)
def test_the_effect_of_a_check(first: str, verdict: str, found: dict[str, int]) -> None:
    numbers = self_check([attempt(first, verdict)], ANSWERS, REFERENCE)
    assert numbers == {"checked": 1, **{name: (value,) * 3 for name, value in found.items()}}


def test_a_problem_counts_once_with_the_mean_over_its_attempts() -> None:
    twice = [attempt("7", "right"), attempt("7", "wrong")]
    numbers = self_check([*twice, attempt("6", "wrong", "q"), attempt("6", "right", "r")], ANSWERS, REFERENCE)
    assert numbers["checked"] == 4
    values = {name: interval[1] for name, interval in numbers.items() if isinstance(interval, tuple)}
    third = pytest.approx(1 / 3)
    assert values["first"] == third
    assert values["last"] == pytest.approx(0.5)
    assert values["mended"] == third
    assert values["harmed"] == pytest.approx(0.5 / 3)
    assert values["gained"] == pytest.approx(0.5 / 3)
    assert values["above_first"] == pytest.approx((0 + 0.5 + 0) / 3)


@pytest.mark.parametrize(
    "passed_over",
    [
        attempt("7", "right", window=16),
        attempt("7", "right", check="4| b = 2"),
        attempt("7", "right", "another model was not asked this"),
        Attempt("p", None, 0, [1], [], [], [], {}, "", "", "missing", "the engine failed", ""),
    ],
)
def test_windows_thoughts_without_a_check_and_what_is_missing_do_not_count(passed_over: Attempt) -> None:
    assert self_check([passed_over], ANSWERS, REFERENCE) == {"checked": 0}
    assert self_check([passed_over, attempt("7", "right")], ANSWERS, REFERENCE)["checked"] == 1
