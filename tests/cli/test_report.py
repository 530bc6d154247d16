"""`z1 report` evaluates a given model if it has to, and writes the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from z1.cli import report, stages
from z1.errors import UserError
from z1.recipe import load


def test_a_report_needs_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(stages, "run_stages", lambda *given, **named: found.append((given, named)))
    done = CliRunner().invoke(report.app, ["tiny", "--set", "seed=7", "--runs", "r", "--model", "m", "--json"])
    assert done.exit_code == 0, done.output
    assert found == [((load("tiny", ["seed=7"]), Path("r"), ("evaluate", "report"), "m"), {"as_json": True})]


def test_flags_of_another_mode_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(report.app, [str(tmp_path), "--model", "m"])
    assert isinstance(done.exception, UserError) and "omit --model" in str(done.exception)
    done = CliRunner().invoke(report.app, ["tiny", "--title", "t"])
    assert isinstance(done.exception, UserError) and "omit --title" in str(done.exception)
