"""The right letters of multiple-choice sets: every loader of such a set checks them, at every letter."""

from __future__ import annotations

import sys

import pytest

from z1.benchmarks import BENCHMARKS
from z1.benchmarks.gold_letters import check_gold_letters, gold_letter
from z1.errors import UserError
from z1.grading import multiple_choice


def test_every_loader_of_a_multiple_choice_set_checks_its_letters() -> None:
    modules = {row.name: sys.modules[row.load.__module__] for row in BENCHMARKS.values()}
    graded = {row.name: vars(sys.modules[row.grade.__module__]).values() for row in BENCHMARKS.values()}
    choice = {name for name, names in graded.items() if any(value is multiple_choice for value in names)}
    assert "gpqa-diamond" in choice
    for name in choice:
        assert vars(modules[name])["check_gold_letters"] is check_gold_letters


@pytest.mark.parametrize("letter", multiple_choice.LETTERS)
@pytest.mark.parametrize("others", [0, 1, 15])
def test_a_letter_that_is_right_in_nearly_every_row_is_refused(letter: str, others: int) -> None:
    other = "B" if letter == "A" else "A"
    with pytest.raises(UserError, match=f"the right option at {letter} in"):
        check_gold_letters("a set", [letter] * (198 - others) + [other] * others)


def test_a_skewed_set_and_a_small_one_are_accepted() -> None:
    check_gold_letters("a set", ["A"] * 150 + ["B"] * 48)
    check_gold_letters("a set", ["A"] * 11)


@pytest.mark.parametrize("value", ["B", "b", "(B)", "B.", "B)", " B ", "**B**", "{B}", "\\text{B}", "Ｂ", "B:"])
def test_a_dressed_letter_is_read(value: str) -> None:
    assert gold_letter("a set", 0, value, 4) == "B"


@pytest.mark.parametrize("value", ["E", "", "AB", "A or B", 1, "1", None, True, "B. 12 m/s", ["A"], "ß"])
def test_what_is_no_letter_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="give a letter from A to D"):
        gold_letter("a set", 3, value, 4)
