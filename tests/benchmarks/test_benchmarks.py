"""The table of benchmarks: sources, loading, grading and messages of every row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.sample_files import SAMPLE_FILES
from z1.benchmarks import BENCHMARKS, LoadOptions, download, get_benchmark
from z1.benchmarks.hub import NO_OPTIONS
from z1.errors import UserError
from z1.grading import Verdict
from z1.records import Problem

EACH = pytest.mark.parametrize("name", BENCHMARKS)

OURS = ("programs", "programs-longer", "word-problems")
"""Rows whose problems z1 makes itself."""

OWN = ("questions",)
"""Rows that read a file of the user's."""

ON_HUB = [name for name in SAMPLE_FILES if name not in OWN]

REPLIES: dict[str, tuple[str, str]] = {
    "math500": ("so \\boxed{2}", "so \\boxed{3}"),
    "gsm8k": ("so \\boxed{1001}", "so \\boxed{1}"),
    **{f"aime{year}": ("so \\boxed{33}", "so \\boxed{34}") for year in (2024, 2025, 2026)},
    "mmlu-pro": ("\\boxed{RIGHT}", "\\boxed{WRONG}"),
    "gpqa-diamond": ("\\boxed{RIGHT}", "\\boxed{WRONG}"),
    "livecodebench": ("```python\nprint(sum(map(int, input().split())))\n```", "```python\nprint(3)\n```"),
    "bigcodebench-hard": (
        "```python\ndef task_func(x):\n    return math.sqrt(x)\n```",
        "```python\ndef task_func(x):\n    return x\n```",
    ),
    "humaneval": ("```python\ndef total(n: List[int]): return sum(n)\n```", "```python\ndef total(n): return 3\n```"),
    "questions": ("so \\boxed{2, 4}", "so \\boxed{2, 3}"),
    "mbpp": ("```python\ndef double(x): return x + x\n```", "```python\ndef double(x): return x * x\n```"),
}
REPLIES["livecodebench-v6"] = REPLIES["livecodebench"]
REPLIES["bigcodebench-hard-complete"] = REPLIES["bigcodebench-hard"]


def options(name: str, folder: Path) -> LoadOptions:
    path = SAMPLE_FILES[name](folder)
    release = "release_v1" if name.startswith("livecodebench") else ""
    return LoadOptions(str(path if name in OWN else folder), release=release)


def first(name: str, folder: Path) -> Problem:
    return get_benchmark(name).load(9, 1, options(name, folder))[0]


def test_an_unknown_benchmark_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(UserError, match=r"choose one of programs, .*math500") as caught:
        get_benchmark("wrold")
    assert "wrold" in str(caught.value)
    assert "\n" not in str(caught.value)


@EACH
def test_every_benchmark_has_its_name_licence_and_source(name: str) -> None:
    row = get_benchmark(name)
    assert row.name == name
    assert row.licence
    hub = re.search(r"https://huggingface.co/datasets/\S+ at [0-9a-f]{40}$", str(row.source))
    assert hub or name in OURS or (name in OWN and row.source is None)


def test_every_downloaded_benchmark_has_a_sample_file() -> None:
    assert {*OURS, *SAMPLE_FILES} == set(BENCHMARKS) == {*OURS, *REPLIES}


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_replies_are_graded_right_wrong_unparsed_or_cut(name: str, tmp_path: Path) -> None:
    problem, row = first(name, tmp_path), get_benchmark(name)
    other = next(letter for letter in "ABCD" if letter != problem.answer)
    right, wrong = (text.replace("RIGHT", problem.answer).replace("WRONG", other) for text in REPLIES[name])
    assert row.grade(right, problem, False).verdict is Verdict.RIGHT
    assert row.grade(right, problem, True).verdict is Verdict.RIGHT
    assert row.grade(wrong, problem, False).verdict is Verdict.WRONG
    assert row.grade("I do not know.", problem, False).verdict is Verdict.UNPARSED
    assert row.grade("I do not know; ```python\n\\boxed{", problem, True).verdict is Verdict.CUT


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_single_local_file_is_accepted(name: str, tmp_path: Path) -> None:
    path = SAMPLE_FILES[name](tmp_path)
    assert get_benchmark(name).load(9, 1, LoadOptions(str(path)))[0].origin == name.removesuffix(
        "-complete"
    ).removesuffix("-v6")


@pytest.mark.parametrize("name", ON_HUB)
def test_offline_without_data_is_a_one_line_error_with_advice(name: str) -> None:
    with pytest.raises(UserError, match=r"download \S+ at revision [0-9a-f]{12} where there is a network") as caught:
        get_benchmark(name).load(1, 0, NO_OPTIONS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ON_HUB)
def test_a_folder_without_the_file_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no {tmp_path}"):
        get_benchmark(name).load(1, 0, LoadOptions(str(tmp_path)))


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_count_limits_the_problems_and_ids_are_unique(name: str, tmp_path: Path) -> None:
    row, given = get_benchmark(name), options(name, tmp_path)
    assert len(row.load(1, 0, given)) == 1
    every = row.load(10**6, 0, given)
    assert len({problem.id for problem in every}) == len(every)


def test_prompt_and_system_message_can_be_replaced() -> None:
    problem = Problem("p", "1 {question} + 1?", "2", "math500")
    row = get_benchmark("math500")
    assert [turn["role"] for turn in row.messages(problem)] == ["system", "user"]
    assert row.messages(problem)[1]["content"] == "1 {question} + 1?"
    other = row.with_prompt("Say: {question}", "")
    assert other.messages(problem) == [{"role": "user", "content": "Say: 1 {question} + 1?"}]
    assert row.with_prompt(None, None) == row


def test_download_returns_paths_and_gives_advice_offline(tmp_path: Path) -> None:
    path = SAMPLE_FILES["humaneval"](tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    assert download("humaneval", str(path), str(model)) == [path, model]
    assert download("programs") == []
    with pytest.raises(UserError, match="download it where there is a network, and give its folder"):
        download("programs", model="efficientscaling/Z1-7B")
    with pytest.raises(UserError, match="where there is a network, then set data"):
        download("livecodebench")


def test_the_reference_answers_of_the_built_in_programs_are_right() -> None:
    row = get_benchmark("programs")
    for problem in row.load(6, 1, NO_OPTIONS):
        assert row.grade(f"\\boxed{{{problem.answer}}}", problem, False).verdict is Verdict.RIGHT
        assert row.grade(f"\\boxed{{{problem.answer}0}}", problem, False).verdict is Verdict.WRONG
        assert row.grade("\\boxed{", problem, True).verdict is Verdict.CUT
