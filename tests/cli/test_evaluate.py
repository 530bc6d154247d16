"""`z1 evaluate` downloads what it needs, and evaluates the models of a comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import command_line
from tests.benchmarks.sample_files import SAMPLE_FILES
from z1.cli import evaluate
from z1.models import LONG, SHIPPED, shipped


def test_download_only_prints_a_hash_for_each_file(tmp_path: Path) -> None:
    text = command_line.MICRO.replace("[evaluate]", f'[evaluate]\nbenchmark = "humaneval"\ndata = "{tmp_path}"')
    SAMPLE_FILES["humaneval"](tmp_path)
    done = command_line.z1("evaluate", command_line.recipe(tmp_path, text), "--download-only")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{16}  \S+test-00000-of-00001\.parquet\n", done.stdout)


def test_download_only_of_a_comparison_has_all_data_and_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SAMPLE_FILES["humaneval"](tmp_path / "data")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "m" / "config.json").write_text("{}")
    path = tmp_path / "two.toml"
    evaluation = f'[[evaluate]]\nbenchmark = "humaneval"\ndata = "{tmp_path / "data"}"\n'
    rest = "problems = 1\nthinking_budgets = []\nmax_answer_tokens = 8\n"
    path.write_text(f'name = "two"\n[models]\nm = {{ path = "{tmp_path / "m"}" }}\n' + (evaluation + rest) * 2)
    evaluate.download(path, (), None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("/")[-1] for line in lines] == ["test-00000-of-00001.parquet", "m"]
    assert all(re.match(r"[0-9a-f]{16}  /", line) for line in lines)


def test_a_comparison_prints_curves_and_differences_or_json(tmp_path: Path) -> None:
    models = "".join(f'{name} = {{ path = "{shipped(name).as_posix()}" }}\n' for name in (SHIPPED, LONG))
    evaluation = "[[evaluate]]\nproblems = 4\nthinking_budgets = [8]\nmax_answer_tokens = 8\n"
    (tmp_path / "two.toml").write_text(f'name = "two"\n[models]\n{models}{evaluation}')
    done = command_line.z1("evaluate", "two.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "z1-tiny on 4 problems",
        "long-tiny on 4 problems",
        "long-tiny less z1-tiny on programs",
        "numbers: ",
    ):
        assert words in done.stdout
    again = command_line.z1("evaluate", "two.toml", "--json", cwd=tmp_path)
    (one,) = json.loads(again.stdout)["evaluations"]
    assert list(one["models"]) == ["z1-tiny", "long-tiny"]
