"""Runs every program in `examples/`; the client runs against a server of the shipped model."""

from __future__ import annotations

from pathlib import Path

from tests import command_line
from tests.serve.conftest import serving
from z1.engines.local.engine import LocalSettings, load
from z1.generation import builtin_question
from z1.models import shipped
from z1.serve.api.request_parser import RequestDefaults

ROOT = Path(__file__).parents[1]


def run(name: str, *arguments: str) -> str:
    done = command_line.python(ROOT / "examples" / name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_generate() -> None:
    out = run("generate.py")
    assert out.count("thinking tokens, stopped by") == 3
    assert "[thinking]" in out and "[hint]" in out and "[answer]" in out


def test_a_ladder_of_budgets_gets_more_right_with_more_thought() -> None:
    lines = run("budget_ladder.py").splitlines()
    right = [int(line.split(": ")[1].split(" ")[0]) for line in lines]
    assert len(right) == 5 and right[-1] == 9 > right[1]


def test_a_window_on_an_engine_of_ones_own() -> None:
    out = run("own_engine.py")
    assert out.startswith("six times ") and "\n42" in out and "thought=10" in out


def test_the_openai_client() -> None:
    defaults = RequestDefaults(temperature=0.0, format_question=builtin_question)
    with serving(load(shipped(), LocalSettings(max_num_seqs=4, max_model_len=512)), defaults) as server:
        out = run("openai_client.py", server.url)
    assert "\\boxed{" in out and "completion tokens" in out
