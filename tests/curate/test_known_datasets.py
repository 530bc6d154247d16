"""Every known dataset is read from files in the Hub's format; an unavailable one is an error of one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.sample_files import jsonl, parquet
from z1.curate import known_datasets, sources
from z1.curate.known_datasets import CATALOGUE
from z1.curate.plan import CuratePlan, SourceSettings
from z1.errors import UserError

ASKED, SAID = "Write a *loop*.", "Words.\n```python\nfor _ in []: pass\n```"

TESTS = "from solution import f\n\ndef test_f():\n    assert f() == 1"
CODED = {
    "conversation_id": "c1",
    "question": ASKED,
    "gpt_difficulty": "easy",
    "test_code": TESTS,
    "test_entry_point": "f",
}

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "evol-codealpaca-v1": ("train.jsonl", {"instruction": ASKED, "output": SAID}),
    "magicoder-evol-instruct-110k": (
        "data-evol_instruct-decontaminated.jsonl",
        {"instruction": ASKED, "response": SAID},
    ),
    "leetcode": (
        "LeetCodeDataset-train.jsonl",
        {
            "task_id": "two-sum",
            "query": ASKED,
            "response": SAID,
            "difficulty": "Easy",
            "test": "def check(candidate):\n    assert candidate() == 1",
            "entry_point": "Solution().f",
            "prompt": "from typing import *\n",
            "question_id": 1,
        },
    ),
    "kodcode-v1": (
        "data/train-00000-of-00015.parquet",
        {**CODED, "solution": "x"},
    ),
    "kodcode-v1-r1": (
        "data/train-00000-of-00011.parquet",
        {**CODED, "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
    ),
    "z1-107k": (
        "data/train-00000-of-00001.parquet",
        {"id": "0", "question": "Write a *LOOP*.  ", "response": SAID, "token_num_qwen": 25},
    ),
}


def write_dataset(folder: Path, name: str) -> Path:
    """Write the dataset `name` with one row in the Hub's layout, and a file that must be ignored."""
    file, row = ROWS[name]
    (parquet if file.endswith(".parquet") else jsonl)(folder / file, [row])
    jsonl(folder / "LeetCodeDataset-test.jsonl", [{"task_id": "held out"}])
    return folder


def read(source: SourceSettings) -> list[sources.Candidate]:
    (found,) = known_datasets.resolve(CuratePlan(name="x", source=(source,))).source
    return list(sources.read(found))


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_known_dataset_is_read_with_its_origin_licence_and_revision(name: str, tmp_path: Path) -> None:
    (one,) = read(SourceSettings(hub=name, path=str(write_dataset(tmp_path, name))))
    known = CATALOGUE[name]
    assert one.question.strip().lower() == ASKED.lower()
    assert one.response == ("" if name == "kodcode-v1" else SAID)
    assert (one.origin, one.licence, one.revision) == (known.hub.id, known.licence, known.hub.revision)
    assert len(known.hub.revision) == 40
    assert (bool(one.tests), bool(one.entry)) == ("tests" in known.columns,) * 2
    assert bool(one.setup) == (name == "leetcode")
    assert one.difficulty.lower() == ("easy" if "difficulty" in known.columns else "")


def test_the_published_set_is_joined_to_its_source_by_text_and_its_levels_are_derived(tmp_path: Path) -> None:
    (published,) = read(SourceSettings(hub="z1-107k", path=str(write_dataset(tmp_path / "a", "z1-107k"))))
    (source,) = read(
        SourceSettings(hub="evol-codealpaca-v1", path=str(write_dataset(tmp_path / "b", "evol-codealpaca-v1")))
    )
    assert published.problem == source.problem
    assert (published.level, published.tokens, published.id) == ("direct", 25, "0")
    assert (source.level, source.tokens) == ("", None)


def test_a_plan_may_override_a_known_dataset(tmp_path: Path) -> None:
    folder = str(write_dataset(tmp_path, "evol-codealpaca-v1"))
    columns: Any = {"question": "instruction"}
    (one,) = read(SourceSettings(hub="evol-codealpaca-v1", path=folder, columns=columns, licence="mine"))
    assert (one.response, one.licence, one.origin) == ("", "mine", "theblackcat102/evol-codealpaca-v1")


def test_a_cached_dataset_of_the_hub_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    known = CATALOGUE["leetcode"].hub
    write_dataset(tmp_path / f"datasets--{known.id.replace('/', '--')}" / "snapshots" / known.revision, "leetcode")
    plan = CuratePlan(name="x", source=(SourceSettings(hub="leetcode"), SourceSettings(synthetic="word-problems")))
    (file,) = known_datasets.download(plan)
    assert file.name == "LeetCodeDataset-train.jsonl"
    assert json.loads(file.read_text())["task_id"] == "two-sum"
    assert next(sources.read(known_datasets.resolve(plan).source[0])).id == "two-sum"


def test_an_unavailable_dataset_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"data set of the hub: got newfacade/LeetCodeDataset is not cached") as caught:
        read(SourceSettings(hub="leetcode"))
    assert "at revision 215604aeed66" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="choose one of evol-codealpaca-v1"):
        read(SourceSettings(hub="leetcod"))
    with pytest.raises(UserError, match=r"no LeetCodeDataset-train\.jsonl"):
        read(SourceSettings(hub="leetcode", path=str(write_dataset(tmp_path / "other", "z1-107k"))))
