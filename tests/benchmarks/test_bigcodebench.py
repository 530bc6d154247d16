"""BigCodeBench-Hard: both prompts, from the hub's columns and from a file with one prompt."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.benchmarks.sample_files import BCB, jsonl
from z1.benchmarks import LoadOptions, bigcodebench, get_benchmark

SHARED = Path(__file__).parents[3] / "shared" / "data" / "bcb_hard_instruct.json.gz"


def test_prompts_come_from_the_columns_of_the_hub(tmp_path: Path) -> None:
    options = LoadOptions(str(jsonl(tmp_path / "x.jsonl", BCB)))
    assert get_benchmark("bigcodebench-hard").load(1, 0, options)[0].question == BCB[0]["instruct_prompt"]
    assert get_benchmark("bigcodebench-hard-complete").load(1, 0, options)[0].question == BCB[0]["complete_prompt"]


def test_the_complete_prompt_is_built_if_its_column_is_missing() -> None:
    row = {key: value for key, value in BCB[0].items() if key != "complete_prompt"}
    built = bigcodebench.build_complete_prompt(row)
    assert built == (
        "import math\ndef task_func(x):\n"
        '    """\n    The root of x.\n\n    Parameters:\n    - x (float): what\n    """\n'
    )
    compile(built + "    return 1\n", "built", "exec")


def test_a_solution_runs_after_the_head_of_the_task(tmp_path: Path) -> None:
    (problem,) = get_benchmark("bigcodebench-hard").load(1, 0, LoadOptions(str(jsonl(tmp_path / "x.jsonl", BCB))))
    assert bigcodebench.build_suite(problem).setup == "import math\ndef task_func(x):\n    pass\n"


@pytest.mark.skipif(not SHARED.is_file(), reason=f"no {SHARED}")
@pytest.mark.parametrize("name", ["bigcodebench-hard", "bigcodebench-hard-complete"])
def test_all_148_load_from_a_published_file(name: str) -> None:
    problems = get_benchmark(name).load(1000, 0, LoadOptions(str(SHARED)))
    assert len({problem.id for problem in problems}) == 148
    for problem in problems:
        assert "task_func" in problem.question
        if name.endswith("complete"):
            with warnings.catch_warnings(action="ignore"):  # some tasks contain '\\W' without an r
                compile(problem.question + "    pass\n", problem.id, "exec")
