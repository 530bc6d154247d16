"""The builder writes a folder that `datasets` loads, with a reason for every dropped candidate."""

from __future__ import annotations

import gzip
import json
import warnings
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.sample_files import jsonl, parquet
from z1 import dataset_io
from z1.curate.builder import DATASET, REPORT, DatasetBuilder, teacher_requests
from z1.curate.known_datasets import resolve
from z1.curate.plan import CuratePlan
from z1.curate.teacher_log import TeacherLogWriter, TeacherReply
from z1.errors import UserError
from z1.models import shipped

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "kodcode_demo.jsonl.gz"

COLUMNS = {"id": "id", "question": "question", "response": "traces", "passed": "ok", "tokens": "n"}


def plan(folder: Path, **tables_of_plan: Any) -> CuratePlan:
    rows = [
        {"id": f"p{n}", "question": f"Q{n}?", "traces": [f"short {n}", f"long {n}", "bad"], "ok": [1, 1, 0], "n": size}
        for n, size in enumerate([[10, 30, 5], [20, 80, 9]])
    ]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"path": str(folder / "t.jsonl"), "columns": COLUMNS, "licence": "MIT", "origin": "here"}
    return CuratePlan.model_validate({"name": "x", "source": (source,), "check": {"passed": True}, **tables_of_plan})


def rows(folder: Path, part: str = "data") -> list[dict[str, Any]]:
    return list(dataset_io.read(folder / DATASET / part))


def test_filters_pairs_and_budget_each_record_a_drop_reason(tmp_path: Path) -> None:
    chosen = plan(tmp_path, pair={"keep": "both"}, select={"budget": 100, "order": "longest"})
    manifest = DatasetBuilder(chosen, tmp_path).build()
    assert [(row["id"], row["token_num_qwen"], row["licence"]) for row in rows(tmp_path)] == [
        ("p1:0", 20, "MIT"),
        ("p1:1", 80, "MIT"),
    ]
    assert manifest["candidates"] == 6 and manifest["rows"] == 2 and manifest["tokens"] == 100
    assert manifest["dropped"] == {"tests failed": 2, "over the budget": 2}
    left = [json.loads(line) for line in (tmp_path / DATASET / "dropped.jsonl").read_text().splitlines()]
    assert {one["id"]: one["reason"] for one in left} == {
        "p0:2": "tests failed",
        "p1:2": "tests failed",
        "p0:0": "over the budget: 10 tokens, 0 left",
        "p0:1": "over the budget: 30 tokens, 20 left",
    }


def test_pairs_are_exported_as_preferences(tmp_path: Path) -> None:
    DatasetBuilder(plan(tmp_path), tmp_path).build()
    assert rows(tmp_path, "pairs")[1] == {
        "problem": "p1",
        "prompt": "Q1?",
        "chosen": "short 1",
        "rejected": "long 1",
        "ratio": 4.0,
    }


def test_the_same_source_twice_adds_duplicates_alone(tmp_path: Path) -> None:
    chosen = plan(tmp_path)
    again = chosen.source[0].model_copy(update={"name": "again"})
    manifest = DatasetBuilder(chosen.model_copy(update={"source": (*chosen.source, again)}), tmp_path).build()
    assert manifest["rows"] == 4 and manifest["dropped"] == {"tests failed": 4, "duplicate": 4}


def test_a_set_without_labels_is_paired_with_its_source_by_text(tmp_path: Path) -> None:
    jsonl(tmp_path / "evol" / "train.jsonl", [{"instruction": f"Task {n}", "output": f"```\n{n}\n```"} for n in (1, 2)])
    derived = [
        {"id": str(n), "question": f"TASK  {n}", "response": f"{'why ' * 400}{n}", "token_num_qwen": 500}
        for n in (2, 3)
    ]
    parquet(tmp_path / "z1" / "data" / "train-00000-of-00001.parquet", derived)
    hubs = [{"hub": "z1-107k", "path": "z1"}, {"hub": "evol-codealpaca-v1", "path": "evol", "level": "direct"}]
    sources = tuple({**one, "path": str(tmp_path / one["path"])} for one in hubs)
    tokens = {"tokenizer": str(shipped())}
    chosen = resolve(
        CuratePlan.model_validate({"name": "x", "source": sources, "tokens": tokens, "check": {"repetition": 1}})
    )
    manifest = DatasetBuilder(chosen, tmp_path).build()
    assert (manifest["rows"], manifest["pairs"], manifest["joined"]) == (4, 1, 1)
    assert manifest["origins"]["efficientscaling/Z1-Code-Reasoning-107K"] == {"candidates": 2, "rows": 2}
    assert [(row["id"], row["level"]) for row in rows(tmp_path)][:2] == [("2", "full"), ("3", "full")]
    (pair,) = rows(tmp_path, "pairs")
    assert pair["chosen"] == "```\n2\n```" and pair["rejected"].endswith("why 2")


def test_near_duplicates_are_dropped_only_if_the_plan_says_so(tmp_path: Path) -> None:
    chosen = plan(tmp_path)
    copied = [{"id": "c", "question": "Q0!", "traces": ["SHORT  0."], "ok": [1], "n": [10]}]
    (tmp_path / "t2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in copied))
    both = (*chosen.source, chosen.source[0].model_copy(update={"path": str(tmp_path / "t2.jsonl")}))
    assert DatasetBuilder(chosen.model_copy(update={"source": both}), tmp_path).build()["rows"] == 5
    strict = plan(tmp_path, duplicates={"min_similarity": 0.9, "shingle_size": 2}).model_copy(update={"source": both})
    assert DatasetBuilder(strict, tmp_path).build()["dropped"] == {"tests failed": 2, "near duplicate": 1}
    assert '"near duplicate: of p0:0, similarity 1.00"' in (tmp_path / DATASET / "dropped.jsonl").read_text()


def test_contaminated_rows_are_dropped_and_reported(tmp_path: Path) -> None:
    asked = "Q1? Natalia sold clips to 48 of her friends in April, and then she sold half as many in May."
    chosen = plan(tmp_path, decontaminate={"against": ("gsm8k", "mbpp"), "data": {"gsm8k": str(tmp_path / "g.jsonl")}})
    (tmp_path / "g.jsonl").write_text(json.dumps({"question": asked, "answer": "#### 72"}) + "\n")
    lines = (tmp_path / "t.jsonl").read_text().replace("Q1?", asked)
    (tmp_path / "t.jsonl").write_text(lines)
    manifest = DatasetBuilder(chosen, tmp_path).build()
    assert manifest["dropped"] == {"tests failed": 2, "contaminated": 2} and manifest["rows"] == 2
    facts = manifest["decontaminated"]
    assert facts["items"] == {"gsm8k": 1} and list(facts["unreadable"]) == ["mbpp"]
    page = (tmp_path / DATASET / REPORT).read_text()
    assert "row p1:0, p1:1" in page and "2 rows dropped" in page
    assert DatasetBuilder(plan(tmp_path), tmp_path).build()["decontaminated"] is None
    assert not (tmp_path / DATASET / REPORT).exists()


def test_the_same_plan_makes_the_same_bytes_of_data(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        DatasetBuilder(plan(tmp_path, pair={"keep": "mix"}), tmp_path).build()
        found.append(next((tmp_path / DATASET / "data").iterdir()).read_bytes())
    assert found[0] == found[1]


def test_present_teacher_replies_become_rows(tmp_path: Path) -> None:
    teacher = {"url": "http://x", "model": "m", "levels": {"a": "{question}", "b": "B {question}"}}
    source = {"path": str(tmp_path / "t.jsonl"), "columns": {"id": "id", "question": "question"}, "origin": "here"}
    plan(tmp_path)
    chosen = CuratePlan.model_validate({"name": "x", "source": (source,), "teacher": teacher})
    first, second, third, _ = teacher_requests(chosen)
    with TeacherLogWriter(tmp_path) as log:
        log.log_reply(TeacherReply(first.key, "answer", "thought", "stop", 1, 11))
        log.log_reply(TeacherReply(third.key, "cut", "", "length", 1, 12))
    manifest = DatasetBuilder(chosen, tmp_path).build()
    (row,) = rows(tmp_path)
    assert (row["id"], row["response"], row["token_num_qwen"]) == ("p0:a:0", "thought\n\nanswer", 11)
    assert (row["level"], row["end"], row["origin"], row["problem"]) == ("a", "stop", "here", "p0")
    assert manifest["dropped"] == {"ended by length": 1}
    with TeacherLogWriter(tmp_path) as log:
        log.log_reply(TeacherReply(second.key, "more", "", "stop", 1, 13))
    assert DatasetBuilder(chosen, tmp_path).build()["rows"] == 2


def test_dropping_every_row_is_an_error_and_keeps_the_older_dataset(tmp_path: Path) -> None:
    DatasetBuilder(plan(tmp_path), tmp_path).build()
    with pytest.raises(UserError, match="most dropped as 'over the budget'"):
        DatasetBuilder(plan(tmp_path, check={}, select={"budget": 1}), tmp_path).build()
    assert len(rows(tmp_path)) == 4


def test_missing_token_counts_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    chosen = plan(tmp_path)
    bare = chosen.source[0].model_copy(update={"columns": {"id": "id", "question": "question", "response": "traces"}})
    with pytest.raises(UserError, match=r"set tokens\.tokenizer"):
        DatasetBuilder(chosen.model_copy(update={"source": (bare,)}), tmp_path).build()


def test_datasets_loads_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DatasetBuilder(plan(tmp_path), tmp_path).build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the library itself
        import datasets

        found = datasets.load_dataset(str(tmp_path / DATASET), split="train", cache_dir=str(tmp_path / "cache"))
        pairs = datasets.load_dataset(
            str(tmp_path / DATASET), "pairs", split="train", cache_dir=str(tmp_path / "cache")
        )
    assert found.column_names[:4] == ["id", "question", "response", "token_num_qwen"]
    assert len(found) == 4 and len(pairs) == 2


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/kodcode_demo.jsonl.gz")
def test_real_trajectories_become_a_paired_verified_dataset(tmp_path: Path) -> None:
    columns = {"id": "id", "question": "question", "response": "traces", "passed": "trace_pass_sequence"}
    with gzip.open(REAL, "rb") as file:
        (tmp_path / "some.jsonl").write_bytes(b"".join(islice(file, 60)))
    source = {"path": str(tmp_path / "some.jsonl"), "columns": columns}
    tokens = {"tokenizer": str(shipped()), "column": "tokens"}
    check = {"passed": True, "max_tokens": 1_000_000, "code": True}
    chosen = CuratePlan.model_validate(
        {"name": "k", "source": (source,), "tokens": tokens, "check": check, "pair": {"keep": "both"}}
    )
    manifest = DatasetBuilder(chosen, tmp_path).build()
    assert manifest["candidates"] == 180
    assert manifest["dropped"]["tests failed"] > 20
    found = rows(tmp_path)
    sizes = {row["id"]: row["tokens"] for row in found}
    assert set(Counter(row["problem"] for row in found).values()) <= {1, 2}
    assert manifest["pairs"] == len(rows(tmp_path, "pairs")) > 30
    assert manifest["tokens"] == sum(sizes.values())
    assert manifest["median_ratio"] > 1.2
