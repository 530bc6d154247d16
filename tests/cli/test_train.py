"""A person sees what a fine-tuning is about to do, mask and all, before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train import small
from z1.cli import progress, train
from z1.errors import UserError

TEXT = """
name = "tuned"
base = "{base}"
[finetune]
profile = "z1-tiny"
data = "{data}"
max_length = {most}
epochs = 2.0
batch_samples = 8
micro_tokens = 256
rate = 1e-3
[evaluate]
problems = 1
thinking_budgets = [0]
max_answer_tokens = 8
system = "{system}"
[report]
title = "tuned"
"""


def recipe(folder: Path, most: int = 256, system: str = "") -> Path:
    base, table = folder / "base", folder / "rows.jsonl"
    small.model().config.save_pretrained(base)
    small.tokenizer().save_pretrained(base)
    rows = [{"id": row.id, "question": row.question, "response": row.thought + row.answer} for row in small.rows()]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = folder / "tuned.toml"
    path.write_text(TEXT.format(base=base.as_posix(), data=table.as_posix(), most=most, system=system), "utf-8")
    return path


def preflight(folder: Path, **changes: Any) -> None:
    progress.preflight(recipe(folder, **changes), folder / "runs", 3)


def test_everything_is_said_before_anything_is_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preflight(tmp_path)
    said = capsys.readouterr().out
    every = len(small.rows())
    assert f"{every} to learn from" in said
    assert f"{2 * (every // 8)} = {every} rows // 8 = {every // 8} whole batches an epoch" in said
    assert "processes  3, each with " in said
    assert small.rows()[0].question.strip().splitlines()[-1] in said
    assert "beware" not in said
    assert {path.name.split("-")[0] for path in (tmp_path / "runs" / "tuned").glob("*-*")} == {"encode"}


def test_what_would_be_trained_on_less_is_shown_and_then_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="rows left out or truncated"):
        preflight(tmp_path, most=int(small.encoded(0.0).lengths.max()) - 12)
    assert "left out" in capsys.readouterr().out


def test_a_system_prompt_that_training_never_shows_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preflight(tmp_path, system="Sing.")
    said = capsys.readouterr().out
    assert "beware     evaluate says a system prompt that training never shows: 'Sing.'" in said


def test_only_the_first_of_several_processes_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    preflight(tmp_path)
    assert capsys.readouterr().out == ""


def test_the_first_row_shows_what_is_seen_dim_what_is_learned_green_and_its_end_reversed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    monkeypatch.setattr(train, "show", lambda prepared, _recipe: found.append(prepared))
    preflight(tmp_path)
    shown = train.sample(found[0])
    row = small.rows()[0]
    styled = {str(span.style): shown.plain[span.start : span.end] for span in shown.spans}
    assert styled["green"] == row.thought + row.answer
    assert styled["dim"] == f"<|im_start|>user\n{row.question}<|im_end|>\n<|im_start|>assistant\n"
    assert styled["green reverse"] == "<|im_end|>"


def test_of_a_long_part_the_ends_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "SHOWN", 5)
    found: list[Any] = []
    monkeypatch.setattr(train, "show", lambda prepared, _recipe: found.append(prepared))
    preflight(tmp_path)
    assert " ids …]\n" in train.sample(found[0]).plain
