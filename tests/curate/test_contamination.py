"""Every benchmark is compared or recorded as unreadable; findings name benchmark and item."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.sample_files import jsonl
from z1 import synthetic
from z1.benchmarks import BENCHMARKS
from z1.curate import sources
from z1.curate.contamination import Contamination
from z1.curate.plan import DecontaminateSettings, SourceSettings
from z1.curate.sources import Candidate
from z1.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

ITEM = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."


def contamination(**settings: Any) -> Contamination:
    return Contamination(DecontaminateSettings.model_validate(settings))


def gsm8k(folder: Path) -> str:
    return str(jsonl(folder / "gsm8k.jsonl", [{"question": ITEM, "answer": "#### 72"}]))


def row(question: str, response: str = "R") -> Candidate:
    return Candidate("r", "p", question, response)


def test_every_benchmark_is_compared_or_named_as_unreadable(tmp_path: Path) -> None:
    found = contamination(data={"gsm8k": gsm8k(tmp_path)}).summary()
    assert {*found["items"], *found["by_hash"], *found["unreadable"]} == {
        name for name, row in BENCHMARKS.items() if row.source
    }
    assert found["items"] == {"gsm8k": 1}
    assert set(found["by_hash"]) == {"programs", "programs-longer", "word-problems"}
    assert "hub did not return it" in found["unreadable"]["mbpp"]


def test_a_misspelt_benchmark_is_rejected() -> None:
    for settings in ({"against": ("gsm9k",)}, {"against": ("gsm8k",), "data": {"human-eval": "x.jsonl"}}):
        with pytest.raises(UserError, match="choose one of programs"):
            contamination(**settings)


def test_a_row_that_repeats_an_item_is_dropped_with_its_name(tmp_path: Path) -> None:
    found = contamination(against=("gsm8k",), data={"gsm8k": gsm8k(tmp_path)})
    assert found.drop_reason(row("Ben sold clips to 48 of his friends in May.")) == ""
    assert found.drop_reason(row("Other", ITEM)) == ""
    assert found.drop_reason(row(ITEM.upper())) == "contaminated: gsm8k gsm8k/0, 100% of its words"
    assert [one.row for one in found.findings] == ["r"]
    assert found.summary()["repeated"] == {"gsm8k": 1}
    whole = contamination(against=("gsm8k",), data={"gsm8k": gsm8k(tmp_path)}, compare="row")
    assert whole.drop_reason(row("Other", ITEM)).startswith("contaminated: gsm8k")


def test_synthetic_test_problems_are_found_by_hash() -> None:
    found = contamination(against=("programs", "word-problems"))
    wanted = [synthetic.DatasetRequest(1, part, 3, 9, 1, kind) for kind in found.builtin for part in ("train", "test")]
    asked = [next(synthetic.collect(one)) for one in wanted]
    reasons = [found.drop_reason(row(one.problem.question)) for one in asked]
    assert [reason.split(",")[0] for reason in reasons] == [
        "",
        f"contaminated: programs {asked[1].problem.id}",
        "",
        f"contaminated: word-problems {asked[3].problem.id}",
    ]
    assert found.summary()["by_hash"] == {"programs": 1, "word-problems": 1}
    assert contamination(against=("word-problems",)).drop_reason(row(asked[1].problem.question)) == ""


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_problems_shared_by_leetcode_and_livecodebench_are_found(tmp_path: Path) -> None:
    """The shared problems are known from their titles, which the rule does not see."""
    with gzip.open(SHARED / "lcb_v5_o1_mini.json.gz") as file:
        items = [item for item in json.load(file) if item["platform"] == "leetcode"]
    with gzip.open(SHARED / "leetcode_train.jsonl.gz") as file:
        titles = [json.loads(line)["task_id"] for line in file]
    same = {item["question_id"]: item["question_title"] for item in items if item["question_title"] in titles}
    assert len(same) == 26
    tests = {
        "public_test_cases": json.dumps([{"input": "1", "output": "1", "testtype": "functional"}]),
        "metadata": json.dumps({"func_name": "f"}),
    }
    data = str(jsonl(tmp_path / "v5.jsonl", [{**item, **tests} for item in items]))  # the published file has none
    found = contamination(against=("livecodebench",), data={"livecodebench": data})
    columns: Any = {"id": "task_id", "question": "query"}
    rows = list(sources.read(SourceSettings(path=str(SHARED / "leetcode_train.jsonl.gz"), columns=columns)))
    for one in [*rows[:1200:8], *rows[1200:]]:
        found.drop_reason(one)
    repeated = {(one.overlap.item.name, one.row) for one in found.findings}
    assert set(same.items()) <= repeated
    assert len(repeated) < 45
