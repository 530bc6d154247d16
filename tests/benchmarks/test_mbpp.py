"""MBPP: the function under test, and which assertions are shown and graded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import MBPP, jsonl
from z1.benchmarks import LoadOptions, get_benchmark, mbpp
from z1.grading import Verdict


@pytest.mark.parametrize(
    ("assertion", "name"),
    [
        ("assert double(2) == 4", "double"),
        ("assert set(common((1, 2), (2,))) == set((2,))", "common"),
        ("assert math.isclose(area(3), 9.4, rel_tol=0.001)", "area"),
        ("assert not is_odd(2)", "is_odd"),
        ("assert len('a') == 1", "len"),
        ("assert True", ""),
    ],
)
def test_the_function_under_test_is_found(assertion: str, name: str) -> None:
    assert mbpp.function_name(assertion) == name


def test_one_assertion_is_shown_and_all_are_graded(tmp_path: Path) -> None:
    (problem,) = get_benchmark("mbpp").load(1, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", MBPP))))
    assert "assert double(2) == 4" in problem.question
    assert "assert double(0) == 0" not in problem.question
    shown_only = "```python\ndef double(x): return 4\n```"
    assert get_benchmark("mbpp").grade(shown_only, problem, False).verdict is Verdict.WRONG
