"""`z1 compare` prints the paired comparison of two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.evaluate.test_run_comparison import OURS, THEIRS
from z1.cli import compare
from z1.errors import UserError
from z1.records import Attempt
from z1.runs import write_json, write_lines


def folder(path: Path, attempts: list[Attempt], benchmark: str = "programs") -> Path:
    path.mkdir(parents=True)
    write_lines(path / "attempts.jsonl", (one.as_json() for one in attempts))
    write_json(path / "curve.json", {"benchmark": benchmark})
    return path


def run(*arguments: Path | str) -> str:
    found = CliRunner().invoke(compare.app, list(map(str, arguments)))
    if found.exception:
        raise found.exception
    return found.output


def test_two_runs(tmp_path: Path) -> None:
    ours = folder(tmp_path / "a" / "evaluate-1", OURS)
    theirs = folder(tmp_path / "b", THEIRS)
    text = run(ours.parent, theirs)  # a run with one evaluation, and an evaluation's own folder
    for words in (
        "100 problems of programs",
        "40.0",
        "20.0",
        "+20.0 [+",
        "unlimited",
        "at 60.0 % accuracy, ratio: 0.5",
    ):
        assert words in text
    found = json.loads(run(ours, theirs, "--json"))
    assert (found["first"], found["second"], found["benchmark"]) == (str(ours), str(theirs), "programs")
    assert [row["thinking_budget"] for row in found["thinking_budgets"]] == [8, None]


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    ours = folder(tmp_path / "a", OURS)
    other = folder(tmp_path / "b", THEIRS, "word-problems")
    with pytest.raises(UserError, match="got programs and word-problems"):
        run(ours, other)
    with pytest.raises(UserError, match="no such folder"):
        run(ours, tmp_path / "none")
    with pytest.raises(UserError, match="without an evaluation"):
        run(ours, tmp_path)
    folder(tmp_path / "c" / "evaluate-1", OURS)
    folder(tmp_path / "c" / "evaluate-2", OURS)
    with pytest.raises(UserError, match="2 evaluations in"):
        run(ours, tmp_path / "c")


def test_why_there_is_no_comparison_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    compare.print_comparison("a less b", {"why": "the two runs have no problem in common"})
    assert capsys.readouterr().out == "a less b: the two runs have no problem in common\n"
