"""`z1 demo` shows two programs and two curves, and works without matplotlib."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

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
    assert Path("runs/demo/report/index.html").is_file()


@pytest.mark.usefixtures("small")
def test_without_matplotlib_there_is_a_line_in_place_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = CliRunner().invoke(demo.app, [])
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[-1] == (
        "report: none without matplotlib; install the extra report: pip install '.[report]' in a checkout, "
        "or pip install 'z1-….whl[report]'"
    )
    assert not Path("runs/demo/report").exists()
