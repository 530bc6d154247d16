"""Which function is an assertion about, and does the head of a task stay with its solution?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import HUMANEVAL, MBPP, jsonl
from z1.benchmarks import LoadOptions, get_benchmark, humaneval
from z1.grading import Verdict

SHARED = Path(__file__).parents[3] / "shared" / "data" / "humaneval.jsonl.gz"


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
def test_called(assertion: str, name: str) -> None:
    assert humaneval.called(assertion) == name


def test_the_head_of_a_task_stays(tmp_path: Path) -> None:
    (problem,) = get_benchmark("humaneval").load(1, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", HUMANEVAL))))
    reply = "```python\ndef total(numbers: List[int]) -> int:\n    return sum(numbers)\n```"
    assert humaneval.grade(reply, problem, False).verdict is Verdict.RIGHT  # List is imported by the head


def test_one_assertion_is_shown_and_all_count(tmp_path: Path) -> None:
    (problem,) = get_benchmark("mbpp").load(1, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", MBPP))))
    assert "assert double(2) == 4" in problem.question
    assert "assert double(0) == 0" not in problem.question
    shown_only = "```python\ndef double(x): return 4\n```"
    assert humaneval.grade(shown_only, problem, False).verdict is Verdict.WRONG


@pytest.mark.skipif(not SHARED.is_file(), reason=f"no {SHARED}")
def test_all_164_load_from_a_published_file() -> None:
    assert len(get_benchmark("humaneval").load(1000, 0, LoadOptions(str(SHARED)))) == 164
