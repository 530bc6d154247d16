"""A benchmark of your own: the columns of its file, and how its answers are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import QUESTIONS, jsonl
from z1.benchmarks import LoadOptions, get_benchmark
from z1.errors import UserError
from z1.grading import Verdict


def test_columns_become_problems_and_a_missing_id_is_the_row_number(tmp_path: Path) -> None:
    first, second = get_benchmark("questions").load(9, 0, LoadOptions(str(jsonl(tmp_path / "q.jsonl", QUESTIONS))))
    assert (first.id, first.answer, first.steps, first.kind) == ("a", "2, 4", 1, "lists")
    assert (second.id, second.answer, second.steps, second.kind) == ("questions/1", "0.5", None, "")


@pytest.mark.parametrize("reply", ["\\boxed{0.5}", "\\boxed{\\frac{1}{2}}", "The final answer is 0.50."])
def test_numbers_of_equal_value_are_right(tmp_path: Path, reply: str) -> None:
    row = get_benchmark("questions")
    problem = row.load(9, 0, LoadOptions(str(jsonl(tmp_path / "q.jsonl", QUESTIONS))))[1]
    assert row.grade(reply, problem, False).verdict is Verdict.RIGHT


@pytest.mark.parametrize("steps", [-1, 1.5, "many", True, [1]])
def test_steps_that_are_no_whole_number_are_refused_with_the_row(tmp_path: Path, steps: object) -> None:
    path = jsonl(tmp_path / "q.jsonl", [*QUESTIONS, {"question": "?", "answer": "1", "steps": steps}])
    with pytest.raises(UserError, match=r"q\.jsonl, row 3, column steps: .* give a whole number"):
        get_benchmark("questions").load(9, 0, LoadOptions(str(path)))


@pytest.mark.parametrize("data", ["", "missing.jsonl"])
def test_a_missing_file_is_refused_in_one_line(data: str) -> None:
    with pytest.raises(UserError, match=r"data of benchmark questions: got no file.* columns question and answer"):
        get_benchmark("questions").load(9, 0, LoadOptions(data))
