"""MMLU-Pro: drawn by the seed, up to ten options, gold letters checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sample_files import mmlu_pro_rows, parquet
from z1.benchmarks import LoadOptions, get_benchmark
from z1.errors import UserError
from z1.grading import Verdict

ROW = get_benchmark("mmlu-pro")


def test_problems_are_drawn_from_all_subjects(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", mmlu_pro_rows(40))
    first, other = (ROW.load(8, seed, LoadOptions(str(path))) for seed in (0, 1))
    assert len(first) == 8 and [one.id for one in first] != [one.id for one in other]
    assert {one.kind for one in first} == {"law", "physics"}


def test_ten_options_are_listed_and_graded(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", mmlu_pro_rows(10))
    problems = {one.id: one for one in ROW.load(99, 0, LoadOptions(str(path)))}
    assert problems["mmlu-pro/79"].question.count(". option ") == 10
    assert ROW.grade("The answer is (J).", problems["mmlu-pro/79"], False).verdict is Verdict.RIGHT
    assert ROW.grade("\\boxed{J}", problems["mmlu-pro/70"], False).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer_index": 2}, "beside the answer A"),
        ({"answer": "J", "answer_index": 9}, "letter from A to C"),
        ({"options": ["one"]}, "give 2 to 10 texts"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    rows = [{**mmlu_pro_rows(1)[0], **change}]
    with pytest.raises(UserError, match=said):
        ROW.load(9, 0, LoadOptions(str(parquet(tmp_path / "t.parquet", rows))))


def test_golds_that_give_the_answer_away_are_refused(tmp_path: Path) -> None:
    rows = [{**row, "answer": "A", "answer_index": 0} for row in mmlu_pro_rows(20)]
    with pytest.raises(UserError, match="the right option at A in all 20 rows"):
        ROW.load(9, 0, LoadOptions(str(parquet(tmp_path / "t.parquet", rows))))
