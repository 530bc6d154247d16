"""GPQA: shuffled options, and the refusal of a file in which one letter is always right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.sample_files import gpqa as write_gpqa
from tests.benchmarks.sample_files import jsonl
from z1.benchmarks import LoadOptions, get_benchmark
from z1.errors import UserError

LOAD = get_benchmark("gpqa-diamond").load


def test_options_are_shuffled_by_the_seed(tmp_path: Path) -> None:
    path = str(write_gpqa(tmp_path / "gpqa_diamond.csv", 400))
    once, again, other = (LOAD(400, seed, LoadOptions(path)) for seed in (1, 1, 2))
    assert once == again
    assert [p.answer for p in once] != [p.answer for p in other]
    assert all(70 < count < 130 for count in Counter(p.answer for p in once).values())


def test_the_answer_is_the_letter_of_the_right_option(tmp_path: Path) -> None:
    for problem in LOAD(9, 5, LoadOptions(str(write_gpqa(tmp_path / "gpqa_diamond.csv")))):
        assert f"\n{problem.answer}. right {problem.id.removeprefix('rec')}\n" in problem.question
        assert problem.question.endswith("with \\boxed{} in the end.")
        assert problem.kind == "Physics"


def test_the_order_of_options_does_not_depend_on_count(tmp_path: Path) -> None:
    path = str(write_gpqa(tmp_path / "gpqa_diamond.csv"))
    assert LOAD(3, 1, LoadOptions(path)) == LOAD(14, 1, LoadOptions(path))[:3]


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize("dress", ["@", "(@)", " @. ", "**@**"])
def test_a_file_with_one_right_letter_throughout_is_refused(tmp_path: Path, letter: str, dress: str) -> None:
    """LIMO's gpqa/test.jsonl has all 198 right options at A, and other files have theirs at D."""
    rows = [
        {"question": f"q{n}", "answer": dress.replace("@", letter if n % 2 else letter.lower())} for n in range(198)
    ]
    path = jsonl(tmp_path / "test.jsonl", rows)
    with pytest.raises(UserError, match=f"the right option at {letter} in all 198 rows; use a file"):
        LOAD(198, 1, LoadOptions(str(path)))
    with pytest.raises(UserError, match="all 198 rows"):
        LOAD(5, 1, LoadOptions(str(path)))


def test_a_file_with_different_letters_is_accepted_and_its_letters_are_normalized(tmp_path: Path) -> None:
    dressed = ["A", "b", "(C)", "D."]
    path = jsonl(tmp_path / "test.jsonl", [{"question": f"q{n}", "answer": dressed[n % 4]} for n in range(198)])
    assert [problem.answer for problem in LOAD(198, 1, LoadOptions(str(path)))] == [*"ABCD" * 49, "A", "B"]


@pytest.mark.parametrize("answer", [0, 2, "", "K", "AB", "A, B", "12 m/s", None])
def test_an_answer_that_is_no_letter_is_refused_with_its_row(tmp_path: Path, answer: object) -> None:
    rows = [{"question": f"q{n}", "answer": "ABCD"[n % 4]} for n in range(5)] + [{"question": "q5", "answer": answer}]
    path = jsonl(tmp_path / "test.jsonl", rows)
    with pytest.raises(UserError, match="no column answer" if answer is None else "answer in row 6 of GPQA: got"):
        LOAD(6, 1, LoadOptions(str(path)))
