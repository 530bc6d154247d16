"""Evaluation folders are read and checked; every fault is one line."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from z1.errors import UserError
from z1.report.load import read


def test_what_is_read(folder: Path) -> None:
    (one,) = read([folder])
    assert (one.label, one.benchmark, one.count, len(one.problems), len(one.attempts)) == (
        "tiny",
        "programs",
        1200,
        8,
        24,
    )
    assert [point.thinking_budget for point in one.points] == [0, 32, None]
    assert one.head.accuracy.value == pytest.approx(0.7012)
    assert [(cell.thinking_budget, cell.steps) for cell in one.head_cells] == [
        (None, 1),
        (None, 2),
        (None, 5),
        (None, 8),
    ]


def test_labels_are_unique(folder: Path, other: Path) -> None:
    assert [one.label for one in read([folder, other])] == ["tiny", "other <model>"]
    run = "run-of-tiny evaluate-1a2b"
    assert [one.label for one in read([folder, folder])] == [f"tiny ({run})", f"tiny ({run}) #2"]


def test_null_is_unknown(folder: Path) -> None:
    change(folder, lambda curve: curve["points"][0].update(accuracy=None, thinking_tokens=[None] * 3, phase_one=None))
    change(folder, lambda curve: curve["s1"].update(scaling=None))
    (one,) = read([folder])
    assert not one.points[0].accuracy.known and not one.points[0].thinking_tokens.known
    assert math.isnan(one.points[0].phase_one) and math.isnan(one.s1.scaling)


CURVES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no points": lambda curve: curve.update(points=[]),
    "a window twice": lambda curve: curve["points"].append(curve["points"][0]),
    "a missing key": lambda curve: curve.pop("s1"),
    "no number": lambda curve: curve["points"][1].update(n="many"),
    "percent for a share": lambda curve: curve["points"][1].update(shifted=63.0),
    "no interval": lambda curve: curve["points"][1].update(accuracy=[0.1, 0.2]),
    "a value outside its interval": lambda curve: curve["points"][1].update(thinking_tokens=[5.0, 4.0, 6.0]),
    "a text for a row": lambda curve: curve["by_steps"].append("row"),
    "infinity": lambda curve: curve["points"][1].update(phase_one=math.inf),
    "a negative count": lambda curve: curve["points"][1].update(n=-1),
}


@pytest.mark.parametrize("wrong", CURVES)
def test_a_wrong_curve(folder: Path, wrong: str) -> None:
    change(folder, CURVES[wrong])
    refused([folder], "curve.json")


@pytest.mark.parametrize("name", ["problems.jsonl", "attempts.jsonl", "curve.json"])
def test_a_missing_empty_or_torn_file(folder: Path, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    refused([folder], "torn")
    path.write_bytes(b"\xff" + content)
    refused([folder], "UTF-8")
    path.write_bytes(b"")
    refused([folder], name)
    path.unlink()
    refused([folder], f"no file {path}")


ATTEMPTS: dict[str, dict[str, object]] = {
    "an unknown problem": {"problem": "p99"},
    "a text too many": {"texts": ["a"]},
    "an unknown count": {"ledger": {"wonder": 1}},
    "an unknown key": {"mood": "good"},
}


@pytest.mark.parametrize("wrong", ATTEMPTS)
def test_a_wrong_attempt(folder: Path, wrong: str) -> None:
    first, *rest = (folder / "attempts.jsonl").read_text().splitlines(keepends=True)
    (folder / "attempts.jsonl").write_text("".join([*rest, json.dumps(json.loads(first) | ATTEMPTS[wrong]) + "\n"]))
    refused([folder], "attempts.jsonl line 24")


def test_no_folder() -> None:
    refused([], "name at least one evaluation folder")


def test_lines_end_at_line_feeds_only(folder: Path) -> None:
    path = folder / "problems.jsonl"
    path.write_text(
        path.read_text().replace("print(0)", "print(\u2028 0)").replace("\\u2028", "\u2028"), encoding="utf-8"
    )
    assert len(read([folder])[0].problems) == 8


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    curve = json.loads((folder / "curve.json").read_text())
    how(curve)
    (folder / "curve.json").write_text(json.dumps(curve))


def refused(folders: list[Path], why: str) -> None:
    with pytest.raises(UserError) as caught:
        read(folders)
    assert why in str(caught.value) and "\n" not in str(caught.value)
