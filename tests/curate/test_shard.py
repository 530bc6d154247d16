"""Shards and merge make what one process makes, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from z1.cli import curate as cli_curate
from z1.curate.builder import DATASET
from z1.curate.shard import Shard, parse
from z1.errors import UserError
from z1.models import shipped

PLAN = f"""
name = "x"
[[source]]
path = "t.jsonl"
columns = {{ id = "id", question = "question", response = "response", tests = "tests", entry = "entry" }}
[tokens]
tokenizer = "{shipped()}"
[duplicates]
near = 0.8
[check]
tests = true
[select]
budget = 300
"""


def write(folder: Path) -> None:
    folder.mkdir()
    code = [f"x = {n * n}\n" * (n % 5) + f"def f():\n    return {n % 7}\n" for n in range(20)]
    tests = "from solution import f\ndef test_f():\n    assert f() < 6\n"
    said = [{"question": f"Q{n}?", "response": f"```python\n{text}```"} for n, text in enumerate(code)]
    rows = [{"id": n, "tests": tests, "entry": "f", **texts} for n, texts in enumerate(said)]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "plan.toml").write_text(PLAN)


def made(folder: Path) -> dict[str, bytes]:
    """Every file of the dataset; what changes with clock and place is left out."""
    found = {p.name: p.read_bytes() for p in (folder / "runs" / "x" / DATASET).rglob("*") if p.is_file()}
    manifest = json.loads(found.pop("manifest.json"))
    del manifest["finished"], manifest["plan"]["source"]
    return {**found, "manifest": json.dumps(manifest).encode()}


def curate(folder: Path, **how: Any) -> None:
    cli_curate.curate(folder / "plan.toml", folder / "runs", cli_curate.PlanOptions(**how))


def test_merged_shards_are_the_unsharded_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("datasketch")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    write(whole)
    write(parts)
    curate(whole)
    curate(parts, shard="1/2")
    assert "10 candidates in" in capsys.readouterr().err
    with pytest.raises(UserError, match="10 candidates: got not measured by any shard here"):
        curate(parts, merge=True)
    curate(parts, shard="2/2")
    curate(parts, merge=True)
    assert made(parts) == made(whole)
    assert not (parts / "runs" / "x" / "measured.jsonl").read_bytes()  # the merge measured nothing


def test_a_shard_is_a_number_of_a_number() -> None:
    assert parse("2/4") == Shard(2, 4) and parse("12/12").log == "measured-12-of-12.jsonl"
    for text in ("0/2", "3/2", "1", "1/0", "a/b", "1/2/3", ""):
        with pytest.raises(UserError, match="--shard"):
            parse(text)
