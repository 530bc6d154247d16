"""`z1 demo` shows two programs and two curves, and works without matplotlib."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import command_line
from z1 import models
from z1.cli import demo


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "PROBLEMS", 4)
    monkeypatch.setattr(demo, "BUDGETS", (0, 16))


@pytest.mark.usefixtures("small")
def test_replies_curves_and_a_report() -> None:
    found = CliRunner().invoke(demo.app, [])
    assert found.exit_code == 0, found.output
    for words in ("(Python prints 8.)", "thinking budget: 40", "z1-tiny on 4 problems", "long-tiny on 4 problems"):
        assert words in found.output
    assert "report: runs/demo/report/index.html" in found.output
    assert found.output.index("report:") < found.output.index("Three things to try next")
    assert Path("runs/demo/report/index.html").is_file()


def test_another_model_of_the_package_is_shown_with_questions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--model: got tini; give tiny or smol" in str(CliRunner().invoke(demo.app, ["--model", "tini"]).exception)
    monkeypatch.setattr(demo, "_show_curves", lambda runs: pytest.fail("curves of another model"))
    monkeypatch.setattr(models, "SMOL", "long-tiny")
    monkeypatch.setitem(models.NAMED, "smol", "long-tiny")
    monkeypatch.setattr(models, "SMOL_EXAMPLES", models.EXAMPLES[:1])
    found = CliRunner().invoke(demo.app, ["--model", "smol"])
    assert found.exit_code == 0, found.output
    assert "thinking budget: 40" in found.output and "Python prints" not in found.output
    assert "is often wrong on other wording" in found.output.replace("\n", " ")


CORE_ONLY = """
import importlib.util, sys
from z1.cli import demo, main
from z1.cli.extras import EXTRAS
missing = {module for extra in EXTRAS.values() for module in extra.modules} - {"huggingface_hub", "httpx2"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(name=name)

found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in missing else found(name, package)
sys.meta_path.insert(0, Missing())
sys.argv = ["z1", "demo"]
demo.PROBLEMS, demo.BUDGETS = 4, (0, 16)
main.main()
"""
"""Runs the demo without the libraries of the extras, but for those that transformers brings along."""


@pytest.mark.slow
def test_the_demo_needs_no_extra_and_names_the_one_for_its_report(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CORE_ONLY]
    done = subprocess.run(
        command, cwd=tmp_path, env=command_line.environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert next(line for line in done.stdout.splitlines() if line.startswith("report:")) == (
        "report: none without matplotlib; install the extra report: pip install '.[report]' in a checkout, "
        "or pip install 'z1-….whl[report]'"
    )
    assert not (tmp_path / "runs/demo/report").exists()
