"""Every row of the table can be asked and graded, and says where it comes from."""

from __future__ import annotations

import pytest

from z1.benchmarks import BENCHMARKS, benchmark
from z1.errors import UserError
from z1.grading import Verdict
from z1.records import Problem

EACH = pytest.mark.parametrize("name", BENCHMARKS)


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="choose one of world") as caught:
        benchmark("wrold")
    assert "wrold" in str(caught.value)
    assert "\n" not in str(caught.value)


@EACH
def test_a_row_stands_under_its_own_name_with_its_licence_and_source(name: str) -> None:
    row = benchmark(name)
    assert row.name == name
    assert row.licence
    assert row.source


@EACH
@pytest.mark.parametrize(
    ("reply", "cut", "verdict"),
    [
        ("The final answer is \\boxed{7}.", False, Verdict.RIGHT),
        ("The final answer is \\boxed{7}. And", True, Verdict.RIGHT),
        ("The final answer is \\boxed{8}.", False, Verdict.WRONG),
        ("I do not know.", False, Verdict.UNPARSED),
        ("The final answer is \\boxed{", True, Verdict.CUT),
    ],
)
def test_a_grader_tells_right_wrong_unparsed_and_cut(name: str, reply: str, cut: bool, verdict: Verdict) -> None:
    assert benchmark(name).grade(reply, Problem("p1", "What?", "7", name), cut) is verdict


def test_the_worlds_own_answers_are_right() -> None:
    row = benchmark("world")
    for problem in row.load(6, 1):
        assert row.grade(f"\\boxed{{{problem.answer}}}", problem, False) is Verdict.RIGHT
        assert row.grade(f"\\boxed{{{problem.answer}0}}", problem, False) is Verdict.WRONG
