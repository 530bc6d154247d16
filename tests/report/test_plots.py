"""Pictures are deterministic and change no global state."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

from z1.records import Interval
from z1.report import plots
from z1.report.load import Evaluation, read

UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def test_several_models_one_without_difficulty(folder: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(matplotlib.rcParams)
    pictures = plots.draw(read([folder, other]))
    assert dict(matplotlib.rcParams) == before
    assert list(pictures) == ["difficulty", "curve", "cutoff"]
    for picture in pictures.values():
        assert picture.png.startswith(b"\x89PNG") and picture.svg.count("<svg") == 1
        assert int.from_bytes(picture.png[16:20]) == 1600
        assert "<dc:date>" not in picture.svg and "tEXtSoftware" not in picture.png.decode("latin-1")


def test_unknown_numbers_are_not_drawn(evaluations: tuple[Evaluation, ...]) -> None:
    (one,) = evaluations
    nothing = tuple(
        replace(point, accuracy=UNKNOWN, thinking_tokens=UNKNOWN, paid_tokens=UNKNOWN) for point in one.points
    )
    cells = tuple(replace(cell, accuracy=UNKNOWN, thinking_tokens=UNKNOWN) for cell in one.cells)
    assert list(plots.draw([replace(one, points=nothing, cells=cells)])) == ["curve"]
