"""Figures of one width, with matplotlib: a header of wrapped text and legend above panels placed in inches.

Matplotlib's objects alone are used: no global state is changed, and the matplotlibrc of a user has no effect. The same
numbers give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO, StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from z1.report.picture import Layout
from z1.report.style import DASHES, GRID, INK, MARKERS, MODELS, PAPER, SOFT

DPI = 100
"""Pixels per inch of a page, and half of those in a PNG."""

MARGIN = 0.1
"""Inches at the left and right of the header."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a model's name may contain dollars
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "svg.hashsalt": "z1",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What is written above the panels; `names` are those of the models in the legend, none for a single model."""

    title: str
    subtitle: str
    names: Sequence[str] = ()


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib's defaults with our settings, while drawing."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with its header; the title takes the upper `title_height` inches."""

    figure: Figure
    title: str
    title_height: float

    def layout(self) -> Layout:
        """The figure in both formats; a PNG has two pixels for each of the page, text of an SVG is outlines."""
        png, svg = BytesIO(), StringIO()
        self.figure.savefig(png, format="png", dpi=2 * DPI, metadata={"Software": None})
        self.figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        lines = "".join(line.rstrip() + "\n" for line in svg.getvalue().splitlines())
        return Layout(png.getvalue(), lines, 72 * self.title_height)


def draw(width: float, body: float, header: Header) -> Drawing:
    """A drawing `width` inches wide, with `body` inches for panels below its header."""
    title, subtitle = (
        _wrapped(text, width - 2 * MARGIN, size, weight)
        for text, size, weight in ((header.title, 12, "bold"), (header.subtitle, 9, "normal"))
    )
    legend = _legend_rows(header.names, width - 2 * MARGIN)
    above, lines = MARGIN + 0.22 * len(title), 0.17 * len(subtitle)
    height = body + above + lines + 0.2 * len(legend) + 0.16
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    place = partial(figure.text, MARGIN / width)
    for row, line in enumerate(title):
        place((height - MARGIN - 0.22 * row - 0.17) / height, line, fontsize=12, fontweight="bold")
    for row, line in enumerate(subtitle):
        place((height - above - 0.17 * row - 0.13) / height, line, fontsize=9, color=SOFT)
    for row, entries in enumerate(legend):
        for index, left in entries:
            _legend_entry(figure, header.names[index], index, (left, height - above - lines - 0.16 - 0.2 * row))
    return Drawing(figure, header.title, above)


def _legend_rows(names: Sequence[str], width: float) -> list[list[tuple[int, float]]]:
    """For each row the indices of its names, and where each starts (inches)."""
    rows: list[list[tuple[int, float]]] = []
    left = width
    for index, name in enumerate(names):
        size = 0.42 + _width(name, 9.5, "bold") + 0.2
        if not rows or left + size > width + MARGIN + 0.2:
            rows.append([])
            left = MARGIN
        rows[-1].append((index, left))
        left += size
    return rows


def _legend_entry(figure: Figure, name: str, index: int, at: tuple[float, float]) -> None:
    width, height = figure.get_size_inches()
    x, y = [(at[0] + offset) / width for offset in (0, 0.17, 0.34)], [at[1] / height] * 3
    colour = MODELS[index % 6]
    figure.add_artist(Line2D(x, y, color=colour, linewidth=1.5, linestyle=DASHES[index % 6]))
    dot = Line2D(x[1:2], y[1:2], color=colour, linestyle="none", marker=MARKERS[index % 6], markersize=6)
    dot.set(markeredgecolor=PAPER, markeredgewidth=0.9)
    figure.add_artist(dot)
    text = figure.text((at[0] + 0.42) / width, at[1] / height, name, color=colour, fontsize=9.5, fontweight="bold")
    text.set_verticalalignment("center_baseline")


def panel(figure: Figure, inches: tuple[float, float, float, float], title: str) -> Axes:
    """Axes at left, bottom, width, height; the title is above the y axis, instead of a rotated label."""
    size = figure.get_size_inches()
    axes = figure.add_axes((inches[0] / size[0], inches[1] / size[1], inches[2] / size[0], inches[3] / size[1]))
    axes.set_title(title, loc="left", fontsize=9.5, pad=7, x=(MARGIN - inches[0]) / inches[2])
    return axes


def shortened(text: str, width: float, size: float = 9.5, weight: str = "bold") -> str:
    """`text`, cut in the middle if it is wider than `width` inches."""
    kept = len(text)
    cut = text
    while kept > 2 and _width(cut, size, weight) > width:
        kept -= 1
        cut = f"{text[: kept - kept // 2]}\u2026{text[len(text) - kept // 2 :]}"
    return cut


def _wrapped(text: str, width: float, size: float, weight: str) -> list[str]:
    """`text` in lines of at most `width` inches; words that are longer are cut."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and _width(f"{lines[-1]} {word}", size, weight) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shortened(word, width, size, weight))
    return lines


def _width(text: str, size: float, weight: str) -> float:
    """Inches."""
    written = _scratch().text(0, 0, text, fontsize=size, fontweight=weight)
    width = written.get_window_extent().width
    written.remove()
    return float(width) / DPI


@cache
def _scratch() -> Figure:
    """A figure in which texts are measured."""
    figure = Figure(dpi=DPI)
    FigureCanvasAgg(figure)
    return figure
