"""HumanEval: the head of a task is part of the program that is graded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import HUMANEVAL, jsonl
from z1.benchmarks import LoadOptions, get_benchmark, humaneval
from z1.grading import Verdict

SHARED = Path(__file__).parents[3] / "shared" / "data" / "humaneval.jsonl.gz"


def test_the_head_of_a_task_is_kept(tmp_path: Path) -> None:
    (problem,) = get_benchmark("humaneval").load(1, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", HUMANEVAL))))
    reply = "```python\ndef total(numbers: List[int]) -> int:\n    return sum(numbers)\n```"
    assert humaneval.grade(reply, problem, False).verdict is Verdict.RIGHT  # the head imports List


@pytest.mark.skipif(not SHARED.is_file(), reason=f"no {SHARED}")
def test_all_164_load_from_a_published_file() -> None:
    assert len(get_benchmark("humaneval").load(1000, 0, LoadOptions(str(SHARED)))) == 164
