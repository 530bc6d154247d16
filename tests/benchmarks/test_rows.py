"""Rows are read from every file format, and what is wrong with one is a line with its file and row, at loading."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.sample_files import BCB, FUNCTION, GSM8K, HUMANEVAL, MATH500, MBPP, STDIN, Row, jsonl, parquet
from z1.benchmarks import LoadOptions, get_benchmark
from z1.benchmarks.rows import get_column, get_text, get_texts, read_lines, read_rows
from z1.errors import UserError
from z1.grading import Verdict
from z1.records import Problem

ROWS: list[Row] = [{"a": 1, "b": "ö\n\u2028"}, {"a": 2, "b": ""}]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet", "x.jsonl.gz", "x.json.gz"])
def test_every_file_format_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    text = (
        json.dumps(ROWS) if ".json." in name or name.endswith(".json") else "".join(json.dumps(r) + "\n" for r in ROWS)
    )
    if name.endswith(".parquet"):
        parquet(path, ROWS)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert read_rows(path) == ROWS


def test_csv_cells_may_contain_commas_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('a,b\n1,"x, ""y""\nz"\n', encoding="utf-8", newline="")
    assert read_rows(tmp_path / "x.csv") == [{"a": "1", "b": 'x, "y"\nz'}]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": ')
    with pytest.raises(UserError, match=r"data in .*x\.jsonl, line 1: got ") as caught:
        read_rows(tmp_path / "x.jsonl")
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named() -> None:
    assert get_column({"b": 0}, "a", "b") == 0
    with pytest.raises(UserError, match="no column a or c"):
        get_column({"b": 1}, "a", "c")


def test_the_offset_of_a_line_leads_back_to_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", ROWS)
    for at, row in read_lines(path):
        with path.open("rb") as file:
            file.seek(at)
            assert json.loads(file.readline()) == row


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a'),
        ("x.jsonl", b'{"a": 1}\n[1]'),
        ("x.jsonl", b"\x80"),
        ("x.jsonl", b"[" * 100_000),
        ("x.jsonl.gz", b"plain"),
        ("x.jsonl.gz", gzip.compress(b"{}" * 999, mtime=0)[:-9]),
        ("x.json", b'[{"a": 1}, 2]'),
        ("x.json", b'[{"a": 1}'),
        ("x.json", b'{\n"a": 1}'),
        ("x.csv", "a,b\n1,2".encode("utf-16")),
        ("x.parquet", b"PAR1 and no more"),
    ],
)
def test_a_damaged_file_is_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"data in .*{name}") as caught:
        read_rows(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_byte_order_marks_are_no_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("\ufeffa,b\n1,é\n".encode())
    (tmp_path / "x.jsonl").write_bytes('\ufeff{"a": "1", "b": "é"}\n'.encode())
    (tmp_path / "x.json").write_bytes('\ufeff[{"a": "1", "b": "é"}]'.encode())
    for name in ("x.csv", "x.jsonl", "x.json"):
        assert read_rows(tmp_path / name) == [{"a": "1", "b": "é"}]


def test_a_json_file_may_have_a_row_a_line_and_surrogates_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": "\\ud83d"}\n{"a": 2}')
    assert read_rows(tmp_path / "x.json") == [{"a": "\ufffd"}, {"a": 2}]


def test_a_text_is_a_text() -> None:
    assert [get_text({"a": value}, "a") for value in ("x", 12, 0, 1.5)] == ["x", "12", "0", "1.5"]
    wrong: list[Any] = [True, "", " \n", [], {}, ["x"], b"x"]
    for value in wrong:
        with pytest.raises(UserError, match="column a"):
            get_text({"a": value}, "a")
    assert (get_texts({"a": ["x"]}, "a"), get_texts({"a": None}, "a"), get_texts({}, "a")) == (["x"], [], [])
    wrong = ["x", [1], {"x": 1}]
    for value in wrong:
        with pytest.raises(UserError, match="give a list of texts"):
            get_texts({"a": value}, "a")


def loaded(name: str, rows: list[Row], folder: Path, write: Callable[[Path, list[Row]], Path] = jsonl) -> list[Problem]:
    path = write(folder / f"rows.{'parquet' if write is parquet else 'jsonl'}", rows)
    return get_benchmark(name).load(99, 0, LoadOptions(str(path)))


@pytest.mark.parametrize(
    ("name", "row", "change", "complaint"),
    [
        ("math500", MATH500[0], {"answer": None}, "no column answer"),
        ("math500", MATH500[0], {"answer": " "}, "column answer"),
        ("math500", MATH500[0], {"answer": ["2"]}, "column answer"),
        ("math500", MATH500[0], {"problem": {"a": 1}}, "column problem"),
        ("math500", MATH500[0], {"level": "hard"}, "column level"),
        ("math500", MATH500[0], {"unique_id": "first"}, "id"),
        ("gsm8k", GSM8K[0], {"answer": "1 + 1\n####"}, "column answer"),
        ("gsm8k", GSM8K[0], {"question": ""}, "column question"),
        ("humaneval", HUMANEVAL[0], {"test": ""}, "column test"),
        ("humaneval", HUMANEVAL[0], {"test": "def check(candidate):\n    pass\n"}, "column test"),
        ("humaneval", HUMANEVAL[0], {"test": "def check(candidate"}, "column test"),
        ("humaneval", HUMANEVAL[0], {"test": "def other(candidate):\n    assert candidate(1)\n"}, "column test"),
        ("mbpp", MBPP[0], {"test_list": []}, "tests of the row"),
        ("mbpp", MBPP[0], {"test_list": None}, "tests of the row"),
        ("mbpp", MBPP[0], {"test_list": "assert double(2) == 4"}, "column test_list"),
        ("mbpp", MBPP[0], {"test_list": ["assert double(2) =="]}, "tests of the row"),
        ("mbpp", MBPP[0], {"test_imports": ["import"]}, "tests of the row"),
        ("bigcodebench-hard", BCB[0], {"test": "import unittest\n"}, "column test"),
        ("bigcodebench-hard", BCB[0], {"test": "class T:\n    def helper(self): pass\n"}, "column test"),
        ("bigcodebench-hard-complete", BCB[0], {"complete_prompt": "", "doc_struct": "[1"}, "column doc_struct"),
        ("livecodebench", STDIN, {"public_test_cases": "[]", "private_test_cases": "[]"}, "tests of the row: got none"),
        ("livecodebench", STDIN, {"public_test_cases": None}, "no column public_test_cases"),
        ("livecodebench", STDIN, {"public_test_cases": "[{"}, "tests of the row"),
        ("livecodebench", STDIN, {"public_test_cases": '[{"input": "1"}]'}, "tests of the row"),
        ("livecodebench", STDIN, {"private_test_cases": "not packed"}, "hidden tests of LiveCodeBench"),
        ("livecodebench", STDIN, {"private_test_cases": STDIN["private_test_cases"][:20]}, "hidden tests"),
        ("livecodebench", STDIN, {"metadata": "{"}, "tests of the row"),
        ("livecodebench", FUNCTION, {"metadata": "{}"}, "no func_name"),
        ("livecodebench", STDIN, {"question_content": ""}, "column question_content"),
    ],
)
def test_a_row_that_cannot_be_graded_is_refused_at_loading_with_its_number(
    name: str, row: Row, change: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    key = {"math500": "unique_id", "livecodebench": "question_id"}.get(name, "task_id")
    good = {**row, key: "first"}
    assert len(loaded(name, [good], tmp_path)) == 1
    with pytest.raises(UserError, match=rf"rows\.jsonl, row 2, .*{complaint}") as caught:
        loaded(name, [good, {**row, key: "second", **change}], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b'{"question_content": "a', b"PAR1\x00\x01\xff", b"[]\n", b"\x1f\x8b\x08"])
def test_a_file_of_another_kind_is_refused_for_livecodebench_before_anything_is_generated(
    content: bytes, tmp_path: Path
) -> None:
    path = jsonl(tmp_path / "test.jsonl", [STDIN])
    path.write_bytes(path.read_bytes() + content)
    with pytest.raises(UserError, match=r"test\.jsonl, line 2"):
        get_benchmark("livecodebench").load(1, 0, LoadOptions(str(path)))


def test_hidden_tests_that_are_many_are_unpacked_when_a_reply_is_graded(tmp_path: Path) -> None:
    rows = [{**STDIN, "private_test_cases": "x" * 100_000}]
    (problem,) = loaded("livecodebench", rows, tmp_path)
    with pytest.raises(UserError, match="hidden tests"):
        get_benchmark("livecodebench").grade("```python\nprint(3)\n```", problem, False)


def test_sanitized_mbpp_has_its_imports(tmp_path: Path) -> None:
    row = {
        "source_file": "Benchmark Questions Verification V2.ipynb",
        "task_id": 82,
        "prompt": "Write a function to find the volume of a sphere.",
        "code": "import math\ndef volume_sphere(r):\n  return (4/3)*math.pi*r*r*r",
        "test_imports": ["import math"],
        "test_list": [
            "assert math.isclose(volume_sphere(10), 4188.790204786391, rel_tol=0.001)",
            "assert math.isclose(volume_sphere(25), 65449.84694978735, rel_tol=0.001)",
        ],
    }
    (problem,) = loaded("mbpp", [row], tmp_path, parquet)
    reply = "```python\nPI = 3.14159265\ndef volume_sphere(r):\n    return 4 / 3 * PI * r ** 3\n```"
    assert "volume of a sphere" in problem.question
    assert get_benchmark("mbpp").grade(reply, problem, False).verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    ("level", "steps"), [(5, 5), ("Level 5", 5), ("5", 5), (5.0, 5), ("Level ?", None), (None, None), ("", None)]
)
def test_levels_and_numbers_as_answers(level: object, steps: int | None, tmp_path: Path) -> None:
    (problem,) = loaded("math500", [{**MATH500[0], "level": level, "answer": 2}], tmp_path)
    assert (problem.steps, problem.answer) == (steps, "2")
    assert get_benchmark("math500").grade("\\boxed{2}", problem, False).verdict is Verdict.RIGHT


def test_only_the_rows_that_are_asked_for_are_read_as_problems(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "test.jsonl", [MATH500[0], {"problem": 1}])
    assert len(get_benchmark("math500").load(1, 0, LoadOptions(str(path)))) == 1
