"""Rows of a dataset are read from every format; a question is trained on or held out, never both."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from z1 import dataset_io
from z1.errors import UserError
from z1.recipe import FinetuneSettings
from z1.records import TrainingRow
from z1.train.encode import DroppedRow, messages_of
from z1.train.sft import dataset

ROWS = [{"question": f"q{n}", "response": f"r{n}", "thought": f"t{n}"} for n in range(4)]


def chosen(**changes: Any) -> FinetuneSettings:
    sizes = {"max_length": 8, "micro_tokens": 8, "batch_samples": 1, "epochs": 1.0, "learning_rate": 1.0}
    return FinetuneSettings(**{**sizes, **changes})


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        dataset_io.write(path, rows, dict.fromkeys(rows[0], str))
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(path: str | Path, **changes: Any) -> list[tuple[str, str, str, str]]:
    found = dataset.rows(dataset.files(str(path)).train, chosen(**changes))
    return [(row.id, row.question, row.thought, row.answer) for row in found if isinstance(row, TrainingRow)]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.jsonl.gz"])
def test_rows_are_equal_in_every_file_format(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, ROWS)
    for given in (path, tmp_path):
        assert read(given) == [(str(n + 1), f"q{n}", f"t{n}\n\n", f"r{n}") for n in range(4)]
    swapped = {"question": "response", "response": "question"}
    assert read(path, **swapped)[3] == ("4", "r3", "", "q3")
    assert read(path, **swapped, thought="thought")[0] == ("1", "r0", "t0\n\n", "q0")


def test_rows_keep_their_own_ids_and_0_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [{"id": name, "question": "q", "response": "r"} for name in ("a7", 0, None)])
    assert [name for name, *_ in read(path)] == ["a7", "0", "3"]


@pytest.mark.parametrize(
    ("profile", "thought", "answer"),
    [("z1", "a\n\n", "b"), ("r1-distill", "a\n", "\n\nb"), ("z1-tiny-tag", "a\n\n", "b")],
)
@pytest.mark.parametrize("response", ["<think>\na\n</think>\n\nb", "a\n</think>\n\nb", "[THINK]a[/THINK]b"])
def test_thoughts_have_the_tags_of_the_profile_and_no_others(
    response: str, profile: str, thought: str, answer: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "r.jsonl", [{"question": "q", "response": response}])
    assert read(path, profile=profile) == [("1", "q", thought, answer)]


def test_held_out_splits_are_read_only_if_named(tmp_path: Path) -> None:
    for split in ("test", "train-00000", "train-00001", "validation"):
        write(tmp_path / "data" / f"{split}.parquet", [{"question": split, "response": "r"}])
    assert [question for _, question, _, _ in read(tmp_path)] == ["train-00000", "train-00001"]
    assert [file.name for file in dataset.files(str(tmp_path)).held_out] == ["test.parquet", "validation.parquet"]
    assert [file.name for file in dataset.files(str(tmp_path), "test").train] == ["test.parquet"]
    assert len(read(tmp_path / "data" / "test.parquet")) == 1


def test_a_row_that_cannot_be_used_is_named_or_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [*ROWS, {"question": 5, "response": "r"}, {"question": "q", "response": "r"}])
    with pytest.raises(UserError, match=r"^file .*r.jsonl, row 5, column question: got int 5; give a text, or set"):
        read(path)
    found = list(dataset.rows(dataset.files(str(path)).train, chosen(on_error="drop")))
    assert [type(row) for row in found] == [TrainingRow] * 4 + [DroppedRow, TrainingRow]


def test_a_generation_that_the_dataset_calls_wrong_is_not_learned(tmp_path: Path) -> None:
    row = {"problem": "p", "generations": ["good", "bad"], "correctness_math_verify": [True, False]}
    assert [answer for *_, answer in read(write(tmp_path / "r.jsonl", [row]))] == ["good"]


def test_a_later_reply_is_learned_after_the_turns_before_it_and_held_out_with_them(tmp_path: Path) -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(3) for role in ("user", "assistant")]
    path = write(tmp_path / "r.jsonl", [{"messages": turns, "id": "a"}])
    found = [row for row in dataset.rows(dataset.files(str(path)).train, chosen()) if isinstance(row, TrainingRow)]
    assert [(row.id, messages_of(row), row.answer) for row in found] == [
        ("a:0", "user 0", "assistant 0"),
        ("a:1", turns[:3], "assistant 1"),
        ("a:2", turns[:5], "assistant 2"),
    ]
    for seed in range(20):
        assert len({dataset.is_held_out(row, 0.5, seed) for row in found}) == 1


def test_a_missing_column_is_named_with_the_existing_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", ROWS)
    with pytest.raises(UserError, match=r"row 1, column answer: got columns question, response, thought; give"):
        read(path, question="question", response="answer")
    with pytest.raises(ValueError, match="question and response; give both columns"):
        read(path, response="answer")


def test_a_hub_dataset_is_downloaded_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, *, repo_type: str, allow_patterns: list[str]) -> str:
        asked.append((name, repo_type, allow_patterns))
        return str(write(tmp_path / "train.parquet", ROWS).parent)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert len(read("some/data-107K")) == 4
    assert asked == [("some/data-107K", "dataset", ["*.parquet", "*.jsonl", "*.jsonl.gz", "README.md"])]


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **_settings: object) -> str:
        raise OSError("no network\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(
        UserError, match=r"^dataset some/data: got no network; give a folder or file, or download it on a machine"
    ):
        dataset.files("some/data")


def asking(question: str) -> TrainingRow:
    return TrainingRow("r", question, "", "a", "", None)


def test_held_out_questions_are_about_the_share_and_depend_on_seed_and_question() -> None:
    held = [dataset.is_held_out(asking(f"q{n}"), 0.1, 1) for n in range(4000)]
    assert abs(sum(held) / 4000 - 0.1) < 0.015
    assert held == [dataset.is_held_out(asking(f"q{n}"), 0.1, 1) for n in range(4000)]
    assert held != [dataset.is_held_out(asking(f"q{n}"), 0.1, 2) for n in range(4000)]
    assert not any(dataset.is_held_out(asking(f"q{n}"), 0.0, 1) for n in range(400))
