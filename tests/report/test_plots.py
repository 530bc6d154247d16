"""Pictures are deterministic, change no global state, and no label of them touches a line or another label."""

from dataclasses import replace
from itertools import combinations
from math import nan
from pathlib import Path

import matplotlib
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from z1.records import Interval
from z1.report import figure as figures
from z1.report import plots
from z1.report.load import Curve, Evaluation, Point, read

UNKNOWN = Interval(nan, nan, nan)


def test_several_models_one_without_difficulty(folder: Path, other: Path) -> None:
    before = dict(matplotlib.rcParams)
    pictures = plots.draw(read([folder, other]))
    assert dict(matplotlib.rcParams) == before
    assert list(pictures) == ["difficulty", "curve", "cutoff"]
    for picture in pictures.values():
        for layout, width in ((picture.wide, plots.WIDE), (picture.narrow, plots.NARROW)):
            assert layout.png.startswith(b"\x89PNG") and layout.svg.count("<svg") == 1
            assert int.from_bytes(layout.png[16:20]) == 200 * width
            assert "<dc:date>" not in layout.svg and "tEXtSoftware" not in layout.png.decode("latin-1")


def test_unknown_numbers_are_not_drawn(evaluations: tuple[Evaluation, ...]) -> None:
    (one,) = evaluations
    nothing = tuple(
        replace(point, accuracy=UNKNOWN, thinking_tokens=UNKNOWN, paid_tokens=UNKNOWN) for point in one.points
    )
    cells = tuple(replace(cell, accuracy=UNKNOWN, thinking_tokens=UNKNOWN) for cell in one.cells)
    pictures = plots.draw([replace(one, points=nothing, cells=cells)])
    assert list(pictures) == ["curve"] and pictures["curve"].finding == f"{one.label} has no graded reply"


def curve(label: str, *rows: tuple[int | None, float, float]) -> Curve:
    """A curve of rows of budget, accuracy and thinking tokens."""
    points = tuple(
        Point(
            budget, 9, 0, Interval(max(0, right - 0.02), right, min(1, right + 0.02)),
            Interval(0.95 * tokens, tokens, 1.05 * tokens), Interval(tokens, tokens + 9, tokens + 20), nan, 0, 0, 0,
        )
        for budget, right, tokens in rows
    )  # fmt: skip
    return Curve(label, "programs", 9, points, ())


def boxes(axes: Axes) -> tuple[list[Bbox], list[Line2D]]:
    """The texts of a panel as pixels, and its lines that are not of the grid."""
    ticks = [label for axis in (axes.xaxis, axes.yaxis) for label in (*axis.get_ticklabels(), axis.label)]
    texts = [text for text in (*axes.texts, *ticks, axes.title) if text.get_text() and text.get_visible()]
    return [text.get_window_extent() for text in texts], list(axes.lines)


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 900)), min_size=1, max_size=6), min_size=1, max_size=5),
    st.sampled_from((plots.WIDE, plots.NARROW)),
)
def test_no_label_touches_a_line_or_another_label(models: list[list[tuple[float, float]]], width: float) -> None:
    curves = [
        curve(
            f"model {index}", *((None if at == len(rows) - 1 else 2**at, *row) for at, row in enumerate(sorted(rows)))
        )
        for index, rows in enumerate(models)
    ]
    with figures.settings():
        drawing = plots.drawings(curves, width)["curve"]
        drawing.figure.draw_without_rendering()
        page = drawing.figure.bbox
        headers = [text.get_window_extent() for text in drawing.figure.texts]
        for axes in drawing.figure.axes:
            texts, lines = boxes(axes)
            for one, two in combinations(texts + headers, 2):
                assert not one.overlaps(two), (one, two)
            for text in texts[: len(axes.texts)]:
                for line in lines:
                    path = line.get_transform().transform_path(line.get_path())
                    assert not path.intersects_bbox(text, filled=False), (line, text)
            assert all(page.x0 <= text.x0 and text.x1 <= page.x1 for text in texts + headers)


TWO = (curve("mine", (8, 0.4, 8.0), (None, 0.96, 29.0)), curve("theirs", (None, 0.95, 100.0)))


def test_the_finding_is_the_title_and_its_ratio_is_in_the_picture() -> None:
    with figures.settings():
        drawing = plots.drawings(TWO, plots.WIDE)["curve"]
    assert drawing.title == "mine uses 0.29\u00a0\u00d7\u00a0theirs\u2019s thinking tokens (accuracy +1.0 points)"
    assert "0.29 \u00d7" in [text.get_text() for axes in drawing.figure.axes for text in axes.texts]
    assert drawing.figure.texts[0].get_text() == drawing.title


@pytest.mark.parametrize("name", ["m$odel_1$", "/home/someone/models/" + "a-long-name-" * 9])
def test_any_name_of_a_model_fits(name: str) -> None:
    with figures.settings():
        drawing = plots.drawings([replace(TWO[0], label=name), TWO[1]], plots.NARROW)["curve"]
        drawing.figure.draw_without_rendering()
    right = drawing.figure.bbox.x1
    assert all(text.get_window_extent().x1 <= right for text in drawing.figure.texts)
