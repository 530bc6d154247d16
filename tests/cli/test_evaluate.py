"""Does a person see what two runs say against each other?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluate.test_run_comparison import OURS, THEIRS
from z1.cli import evaluate
from z1.errors import UserError
from z1.records import Attempt
from z1.runs import write_json, write_lines


def folder(path: Path, attempts: list[Attempt], benchmark: str = "programs") -> Path:
    path.mkdir(parents=True)
    write_lines(path / "attempts.jsonl", (one.as_json() for one in attempts))
    write_json(path / "curve.json", {"benchmark": benchmark})
    return path


def test_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ours = folder(tmp_path / "a" / "evaluate-1", OURS)
    theirs = folder(tmp_path / "b", THEIRS)
    evaluate.against(ours.parent, theirs)  # a run with one evaluation, and an evaluation's own folder
    said = capsys.readouterr().out
    for words in ("100 problems of programs", "40.0", "20.0", "+20.0 [+", "free", "thought at 60.0 %, ratio: 0.5"):
        assert words in said


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    ours = folder(tmp_path / "a", OURS)
    other = folder(tmp_path / "b", THEIRS, "word-problems")
    with pytest.raises(UserError, match="got programs and word-problems"):
        evaluate.against(ours, other)
    with pytest.raises(UserError, match="without an evaluation"):
        evaluate.against(ours, tmp_path / "none")
    folder(tmp_path / "c" / "evaluate-1", OURS)
    folder(tmp_path / "c" / "evaluate-2", OURS)
    with pytest.raises(UserError, match="with 2 evaluations"):
        evaluate.against(ours, tmp_path / "c")


def test_how_many_problems_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.needed(5)
    assert "1,570" in capsys.readouterr().out
    for wrong in (0.0, 100.0):
        with pytest.raises(UserError, match="difference to see"):
            evaluate.needed(wrong)
