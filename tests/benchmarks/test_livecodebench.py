"""LiveCodeBench: hidden tests read without unpickling, date ranges, releases and grading."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.sample_files import FUNCTION, STDIN, jsonl, pack_hidden_tests
from z1.benchmarks import LoadOptions, get_benchmark, livecodebench
from z1.errors import UserError
from z1.grading import Verdict
from z1.records import Problem

CASES = [{"input": "1\n", "output": "2 ö\n", "testtype": "stdin"}]


def compress(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hidden_tests_are_read_from_every_pickle_protocol(protocol: int) -> None:
    assert livecodebench.unpack_hidden_tests(compress(pickle.dumps(json.dumps(CASES), protocol))) == CASES


def test_a_long_string_is_read() -> None:
    cases = [{**CASES[0], "input": "x" * 70_000}]
    assert livecodebench.unpack_hidden_tests(pack_hidden_tests(cases)) == cases


def test_hidden_tests_as_plain_json_are_read() -> None:
    assert livecodebench.unpack_hidden_tests(json.dumps(CASES)) == CASES


@pytest.mark.parametrize("value", [Bomb(), [Bomb()], ["a", "b"], 7, b"[]", ("[]",)])
def test_any_other_pickle_is_refused_and_not_executed(
    value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="hidden tests of LiveCodeBench") as caught:
        livecodebench.unpack_hidden_tests(compress(pickle.dumps(value)))
    assert not list(tmp_path.iterdir())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["@@", compress(b"")[:-8], compress(b"\x80"), compress(pickle.dumps("{")), ""])
def test_broken_hidden_tests_are_a_one_line_error(text: str) -> None:
    with pytest.raises(UserError, match="download the file again"):
        livecodebench.unpack_hidden_tests(text)


def test_hidden_tests_over_the_size_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecodebench, "MAX_HIDDEN_TEST_BYTES", 1000)
    with pytest.raises(UserError, match="too long"):
        livecodebench.unpack_hidden_tests(pack_hidden_tests([{**CASES[0], "input": "x" * 5000}]))


def load(folder: Path, **options: str) -> list[Problem]:
    return get_benchmark("livecodebench").load(99, 0, LoadOptions(str(folder), **options))


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("", "", 2),
        ("2024-01-01", "", 1),
        ("2024-09-01", "2024-09-01", 1),
        ("2024-09-02", "", 0),
        ("", "2024-08-31", 1),
        ("2023-05-06", "2024-09-01", 2),
    ],
)
def test_a_date_range_includes_both_ends(tmp_path: Path, since: str, until: str, found: int) -> None:
    jsonl(tmp_path / "test.jsonl", [STDIN, FUNCTION])
    assert len(load(tmp_path, release="release_v1", since=since, until=until)) == found


def test_a_release_consists_of_all_files_up_to_its_own(tmp_path: Path) -> None:
    for n in range(1, 7):
        jsonl(tmp_path / f"test{n if n > 1 else ''}.jsonl", [{**STDIN, "question_id": f"q{n}"}])
    assert len(load(tmp_path)) == 5
    assert len(load(tmp_path, release="release_v6")) == 6
    with pytest.raises(UserError, match="choose one of release_v1"):
        load(tmp_path, release="v7")


def test_public_and_hidden_tests_count(tmp_path: Path) -> None:
    jsonl(tmp_path / "test.jsonl", [STDIN, FUNCTION])
    program, function = load(tmp_path, release="release_v1")
    assert livecodebench.read_tests(program.answer) == ("", [("1 2\n", "3\n"), ("5 6\n", "11\n")])
    assert livecodebench.read_tests(function.answer) == ("add", [([[1, 2], 3], 6), ([[], 1], 1)])
    grade = get_benchmark("livecodebench").grade
    only_public = "```python\nclass Solution:\n    def add(self, a, b): return 6\n```"
    right = "```python\nclass Solution:\n    def add(self, a: List[int], b): return sum(a) + b\n```"
    assert grade(right, function, False).verdict is Verdict.RIGHT
    assert grade(only_public, function, False).reason == "wrong answer (test 2 of 2)"


def test_starter_code_is_part_of_the_question(tmp_path: Path) -> None:
    jsonl(tmp_path / "test.jsonl", [STDIN, FUNCTION])
    program, function = load(tmp_path, release="release_v1")
    assert "Read the inputs from stdin" in program.question
    assert FUNCTION["starter_code"] in function.question
    content = get_benchmark("livecodebench").messages(program)[1]["content"]
    assert content.startswith("You will be given a question (problem specification)")
    assert "\n\nQuestion: Add two numbers.\n\nRead" in content


def test_a_deleted_test_file_gives_missing_and_not_wrong(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "test.jsonl", [{**STDIN, "question_id": "gone"}])
    (problem,) = load(path)
    path.unlink()
    livecodebench.read_tests.cache_clear()
    assert get_benchmark("livecodebench").grade("```\nx\n```", problem, False).verdict is Verdict.MISSING
