"""A parallel map returns results in order, on Ray and with shards too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import command_line
from z1.cli import curate as cli_curate
from z1.curate import parallel
from z1.curate import plan as plans
from z1.curate.builder import DATASET
from z1.curate.parallel import Shard, parse_shard
from z1.errors import UserError
from z1.models import shipped

ROOT = Path(__file__).parents[2]


def test_in_process_is_sequential() -> None:
    assert list(parallel.in_process(lambda block: [2 * x for x in block], [[1, 2], [], [3]])) == [[2, 4], [], [6]]


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--ray: got no Ray; install the extra ray: pip install"):
        list(parallel.on_ray(lambda block: block, [[1]]))


@pytest.mark.slow
def test_two_ray_workers_write_the_same_dataset_as_one_process(tmp_path: Path) -> None:
    """The workers count tokens, run tests and compute MinHashes; a failed task is a fault of one line."""
    pytest.importorskip("ray", reason="Ray is not installed: z1[ray]")
    pytest.importorskip("datasketch")
    command = [sys.executable, "-m", "tests.curate.ray_workers", str(tmp_path)]
    environment = {**command_line.environment(), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    environment["RAY_worker_niceness"] = "0"  # its default, 15, starves workers beside other work
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=280)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"] and found["dropped"]["tests failed"] == 2
    assert found["fault"].startswith("ray: TypeError") and "\n" not in found["fault"]


PLAN = f"""
name = "x"
[[source]]
path = "t.jsonl"
columns = {{ id = "id", question = "question", response = "response", tests = "tests", entry = "entry" }}
[tokens]
tokenizer = "{shipped()}"
[duplicates]
min_similarity = 0.8
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
    """Every file of the dataset without the parts that depend on time and place."""
    found = {p.name: p.read_bytes() for p in (folder / "runs" / "x" / DATASET).rglob("*") if p.is_file()}
    manifest = json.loads(found.pop("manifest.json"))
    del manifest["finished"], manifest["plan"]["source"]
    return {**found, "manifest": json.dumps(manifest).encode()}


def curate(folder: Path, **how: Any) -> None:
    cli_curate.carry_out(plans.read(folder / "plan.toml"), folder / "runs", cli_curate.PlanOptions(**how))


def test_merged_shards_equal_the_unsharded_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("datasketch")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    write(whole)
    write(parts)
    curate(whole)
    curate(parts, shard="1/2")
    assert "10 candidates in" in capsys.readouterr().err
    with pytest.raises(UserError, match="10 candidates: got no measurement by any shard; run the missing shards"):
        curate(parts, merge=True)
    curate(parts, shard="2/2")
    curate(parts, merge=True)
    assert made(parts) == made(whole)
    assert not (parts / "runs" / "x" / "measured.jsonl").read_bytes()  # the merge measured nothing


def test_a_shard_is_written_as_i_of_n() -> None:
    assert parse_shard("2/4") == Shard(2, 4) and parse_shard("12/12").log == "measured-12-of-12.jsonl"
    for text in ("0/2", "3/2", "1", "1/0", "a/b", "1/2/3", ""):
        with pytest.raises(UserError, match="--shard"):
            parse_shard(text)
