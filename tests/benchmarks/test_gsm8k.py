"""GSM8K: the expected answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import GSM8K, jsonl
from z1.benchmarks import LoadOptions, get_benchmark

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_the_answer_is_the_text_after_the_last_mark_without_commas(tmp_path: Path) -> None:
    (problem,) = get_benchmark("gsm8k").load(9, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", GSM8K))))
    assert problem.answer == "1001"


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")
def test_all_1319_load_from_a_published_file() -> None:
    problems = get_benchmark("gsm8k").load(10**6, 0, LoadOptions(str(SHARED / "gsm8k_test.jsonl.gz")))
    assert len({problem.id for problem in problems}) == 1319
    assert all(problem.answer for problem in problems)
