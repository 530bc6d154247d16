"""The pre-flight shows what a fine-tuning would do, loss mask included, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train import small
from z1.cli import preflight as cli_preflight
from z1.cli import train
from z1.cli.stages import load_recipe
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
learning_rate = 1e-3
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
    train.print_preflight(load_recipe(recipe(folder, **changes)), folder / "runs", 3)


def test_all_findings_are_printed_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preflight(tmp_path)
    said = capsys.readouterr().out
    every = len(small.rows())
    assert f"{every} to train on" in said
    assert f"{2 * (every // 8)} = {every} rows // 8 = {every // 8} whole batches an epoch" in said
    assert "processes  3, each with " in said
    assert small.rows()[0].question.strip().splitlines()[-1] in said
    assert "warning" not in said
    assert {path.name.split("-")[0] for path in (tmp_path / "runs" / "tuned").glob("*-*")} == {"encode"}


def test_json_has_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.print_preflight(load_recipe(recipe(tmp_path, system="Sing.")), tmp_path / "runs", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"] == "tuned" and f"{len(small.rows())} to train on" in found["rows"]
    assert found.keys() >= {"steps", "memory", "time"} and len(found["warnings"]) == 1


def test_a_training_on_less_than_was_meant_is_shown_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="rows dropped or truncated"):
        preflight(tmp_path, most=int(small.encoded(0.0).lengths.max()) - 12)
    assert "7 too long" in capsys.readouterr().out


def test_a_system_prompt_that_training_lacks_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preflight(tmp_path, system="Sing.")
    said = capsys.readouterr().out
    assert "warning    evaluation has a system prompt that training lacks: 'Sing.'" in said


def test_only_the_first_of_several_processes_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    preflight(tmp_path)
    assert capsys.readouterr().out == ""


def test_the_first_row_is_dim_without_loss_green_with_loss_and_its_end_reversed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    monkeypatch.setattr(cli_preflight, "show", lambda prepared, _recipe, as_json: found.append(prepared))
    preflight(tmp_path)
    shown = cli_preflight.sample(found[0])
    row = small.rows()[0]
    styled = {str(span.style): shown.plain[span.start : span.end] for span in shown.spans}
    assert styled["green"] == row.thought + row.answer
    assert styled["dim"] == f"<|im_start|>user\n{row.question}<|im_end|>\n<|im_start|>assistant\n"
    assert styled["green reverse"] == "<|im_end|>"


def test_both_ends_of_a_long_part_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_preflight, "SHOWN", 5)
    found: list[Any] = []
    monkeypatch.setattr(cli_preflight, "show", lambda prepared, _recipe, as_json: found.append(prepared))
    preflight(tmp_path)
    assert " tokens …]\n" in cli_preflight.sample(found[0]).plain
