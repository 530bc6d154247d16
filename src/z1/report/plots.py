"""Pictures of evaluations, drawn with matplotlib:

    difficulty   thinking tokens, and accuracy below them, by steps
    curve        accuracy against thinking tokens, and against all paid tokens
    cutoff       accuracy by thinking budget and steps

The only module that imports matplotlib, through its objects alone: no global state is changed, and the matplotlibrc of
a user has no effect. The same numbers give the same bytes. Bars are the 95 % intervals that were read; unknown numbers
are not drawn. Colours repeat after six models; labels distinguish them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from math import ceil
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from z1.records import Interval
from z1.report import formatting, labels
from z1.report.load import Cell, Evaluation
from z1.report.style import GRID, INK, MARKERS, MODELS, PAPER, SOFT

WIDTH = 8.0
"""Inches; 800 px wide at 100 dots per inch, and twice as many in the PNG."""

UNLIMITED = "\u221e"
"""Label of unlimited thinking; a word would cover other labels."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
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
_SHADES = ("#eef3f8", "#c3d9ec", "#86b4d9", "#3f86bf", "#0b4f8a")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in two formats."""

    png: bytes
    svg: str


@dataclass(frozen=True, slots=True)
class _Series:
    """One model's points in one panel, easiest or smallest first."""

    x: tuple[Interval, ...]
    y: tuple[Interval, ...]
    labels: tuple[str, ...] = ()


def draw(evaluations: Sequence[Evaluation]) -> dict[str, Picture]:
    """The pictures by name; "difficulty" and "cutoff" only if a problem has steps."""
    graded = [one for one in evaluations if any(cell.accuracy.known for cell in one.cells)]
    with _settings():
        pictures = {"difficulty": _render(_difficulty(evaluations))} if any(one.head_cells for one in graded) else {}
        pictures["curve"] = _render(_curve(evaluations))
        if graded:
            pictures["cutoff"] = _render(_cutoff(graded))
    return pictures


@contextmanager
def _settings() -> Iterator[None]:
    """Matplotlib's defaults with our settings, while drawing."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def _render(figure: Figure) -> Picture:
    png, svg = BytesIO(), StringIO()
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(png.getvalue(), "".join(line.rstrip() + "\n" for line in svg.getvalue().splitlines()))


def _difficulty(evaluations: Sequence[Evaluation]) -> Figure:
    title = "Thinking tokens and accuracy by difficulty"
    figure = _figure(5.2, title, _subtitle(evaluations, head=True))
    above = _panel(figure, (0.62, 2.22, 7.2, 2.04), "thinking tokens, mean")
    under = _panel(figure, (0.62, 0.54, 7.2, 1.22), "accuracy")
    under.set_xlabel("executed steps of the program" if _only_programs(evaluations) else "difficulty (steps)")
    thought, right = [], []
    for index, one in enumerate(evaluations):
        offset = 0.09 * (index - (len(evaluations) - 1) / 2)
        x = tuple(Interval(cell.steps + offset, cell.steps + offset, cell.steps + offset) for cell in one.head_cells)
        thought.append(_Series(x, tuple(cell.thinking_tokens for cell in one.head_cells)))
        right.append(_Series(x, tuple(cell.accuracy for cell in one.head_cells)))
    steps = [cell.steps for one in evaluations for cell in one.head_cells]
    for panel in (above, under):
        panel.set_xlim(min(steps) - 0.6, max(steps) + 0.6)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=20, steps=[1, 2, 5, 10]))
    above.set_ylim(0, 1.08 * _top(thought) or 1)
    above.tick_params(labelbottom=False)
    above.yaxis.set_major_formatter(FuncFormatter(_count))
    _as_percent(under, 0)
    _series(above, thought, _names(evaluations))
    _series(under, right, ())
    return figure


def _curve(evaluations: Sequence[Evaluation]) -> Figure:
    subtitle = f"{_subtitle(evaluations)}. At each point: the thinking budget ({UNLIMITED} is unlimited)"
    figure = _figure(4.4, "Accuracy against tokens", subtitle)
    left = _panel(figure, (0.62, 0.54, 3.44, 2.92), "accuracy")
    right = _panel(figure, (4.38, 0.54, 3.44, 2.92), "")
    accuracy = [tuple(point.accuracy for point in one.points) for one in evaluations]
    budgets = [tuple(_budget(point.thinking_budget) for point in one.points) for one in evaluations]
    for panel, name, kind in (
        (left, "thinking tokens, mean", "thinking_tokens"),
        (right, "paid tokens, mean", "paid_tokens"),
    ):
        x = [tuple(getattr(point, kind) for point in one.points) for one in evaluations]
        series = [_Series(*row) for row in zip(x, accuracy, budgets, strict=True)]
        panel.set_xlabel(name)
        across = _top([_Series((), one.x) for one in series]) or 1
        panel.set_xlim(-0.03 * across, 1.09 * across)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6))
        panel.xaxis.set_major_formatter(FuncFormatter(_count))
        _as_percent(panel, *_reach(accuracy))
        _series(panel, series, _names(evaluations))
    right.tick_params(labelleft=False)
    return figure


def _cutoff(evaluations: Sequence[Evaluation]) -> Figure:
    rows, gap = [len(one.points) for one in evaluations], 0.62 if len(evaluations) > 1 else 0.42
    height = 0.29 * sum(rows) + gap * len(rows) + 0.92
    steps = sorted({cell.steps for one in evaluations for cell in one.cells})
    crowded = len(steps) > 26
    about = "Accuracy from pale (0 %) to deep blue (100 %)" if crowded else "Accuracy in percent"
    figure = _figure(
        height,
        "Accuracy by thinking budget and difficulty",
        f"{about}, by thinking budget (rows; {UNLIMITED} is unlimited) and steps",
    )
    bottom = height - 0.62
    for evaluation, count in zip(evaluations, rows, strict=True):
        bottom -= 0.29 * count + gap - 0.3
        title = _short(evaluation.label, 60) if len(evaluations) > 1 else ""
        panel = _panel(figure, (0.62, bottom, min(7.2, 0.6 * len(steps)), 0.29 * count), title)
        _cells(panel, evaluation, steps, numbers=not crowded)
        bottom -= 0.3
    panel.set_xlabel("executed steps of the program" if _only_programs(evaluations) else "difficulty (steps)")
    return figure


def _cells(panel: Axes, evaluation: Evaluation, steps: Sequence[int], numbers: bool) -> None:
    """One model's map: a row per budget, unlimited on top; a column per number of steps; unknown cells are blank."""
    budgets = [point.thinking_budget for point in evaluation.points]
    for cell in evaluation.cells:
        if cell.accuracy.known and cell.thinking_budget in budgets:
            at = steps.index(cell.steps), budgets.index(cell.thinking_budget)
            _cell(panel, cell, at, (8.5 if len(steps) < 20 else 7) if numbers else 0)
    panel.set_xlim(-0.5, len(steps) - 0.5)
    panel.set_ylim(-0.5, len(budgets) - 0.5)
    every = -(-len(steps) // 30)
    panel.set_xticks(range(0, len(steps), every), [f"{one:,}" for one in steps[::every]])
    panel.set_yticks(range(len(budgets)), [_budget(one) for one in budgets])
    panel.grid(visible=False)
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _cell(panel: Axes, cell: Cell, at: tuple[int, int], size: float) -> None:
    share = cell.accuracy.value
    panel.add_patch(Rectangle((at[0] - 0.48, at[1] - 0.46), 0.96, 0.92, facecolor=_shade(share), linewidth=0))
    if size:
        ink = "#fefefe" if share > 0.76 else "#101418"
        panel.text(*at, f"{100 * share:.0f}", color=ink, fontsize=size, ha="center", va="center_baseline")


def _shade(share: float) -> tuple[float, ...]:
    """From pale to deep blue, interpolated between five shades."""
    index = min(int(share * 4), 3)
    low, high = (tuple(int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5)) for shade in _SHADES[index : index + 2])
    return tuple(a + (b - a) * (4 * share - index) for a, b in zip(low, high, strict=True))


def _series(panel: Axes, series: Sequence[_Series], names: Sequence[str]) -> None:
    """Draw lines with bars, then the labels of points and models that fit. The panel's limits must be final."""
    taken: list[labels.Box] = []
    spots = []
    for index, given in enumerate(series):
        known = [i for i, (x, y) in enumerate(zip(given.x, given.y, strict=True)) if x.known and y.known]
        x, y = tuple(given.x[i] for i in known), tuple(given.y[i] for i in known)
        one = _Series(x, y, tuple(given.labels[i] for i in known if given.labels))
        where = [_spot(panel, a.value, b.value) for a, b in zip(x, y, strict=True)]
        spots.append((one, where))
        _line(panel, one, index)
        taken += labels.line(where) + [labels.around(*spot, 4) for spot in where] + _bars(panel, one)
    for index, (name, (_, where)) in enumerate(zip(names, spots, strict=False)):
        if where:
            _label(panel, name, where[::-1], taken, MODELS[index % 6], bold=True)
    for index, (one, where) in enumerate(spots):
        for group in reversed(labels.groups(where, 13)) if one.labels else ():
            text = one.labels[group[0]] if len(group) == 1 else f"{one.labels[group[0]]}\u2013{one.labels[group[-1]]}"
            _label(panel, text, [where[i] for i in reversed(group)], taken, MODELS[index % 6])


def _line(panel: Axes, one: _Series, index: int) -> None:
    colour, x, y = MODELS[index % 6], [i.value for i in one.x], [i.value for i in one.y]
    reach = [[[i.value - i.low for i in side], [i.high - i.value for i in side]] for side in (one.x, one.y)]
    panel.errorbar(x, y, xerr=reach[0], yerr=reach[1], fmt="none", ecolor=colour, elinewidth=1.1, alpha=0.5, zorder=2)
    panel.plot(x, y, color=colour, linewidth=1.5, alpha=0.9, zorder=3)
    (dots,) = panel.plot(x, y, MARKERS[index % 6], color=colour, markersize=5.2, zorder=4, clip_on=False)
    dots.set(markeredgecolor=PAPER, markeredgewidth=0.9)


def _bars(panel: Axes, one: _Series) -> list[labels.Box]:
    boxes = []
    for x, y in zip(one.x, one.y, strict=True):
        (left, low), (right, high) = _spot(panel, x.low, y.low), _spot(panel, x.high, y.high)
        middle = _spot(panel, x.value, y.value)
        boxes += [(left, middle[1] - 1.5, right, middle[1] + 1.5), (middle[0] - 1.5, low, middle[0] + 1.5, high)]
    return boxes


def _label(
    panel: Axes, text: str, anchors: Sequence[labels.Spot], taken: list[labels.Box], colour: str, *, bold: bool = False
) -> None:
    """Write `text` beside one of `anchors` (pixels) and record the place; only bold text may cover much."""
    written = panel.text(0, 0, text, color=colour, fontsize=8.5, zorder=6)
    if bold:
        written.set(fontsize=9.5, fontweight="bold")
    extent, frame = written.get_window_extent(), panel.get_window_extent()
    inside = (frame.x0 + 2, frame.y0 + 2, frame.x1 + 10, frame.y1 + 12)
    box, covering = labels.place(
        anchors, (extent.width, extent.height), taken, inside, (6, 11, 18, 26, 40) if bold else (6, 11)
    )
    if covering > 0.4 and not bold:
        written.remove()
        return
    left, bottom = panel.transData.inverted().transform((box[0], box[1] - (extent.y0 - _spot(panel, 0, 0)[1])))
    written.set_position((float(left), float(bottom)))
    written.set_path_effects([withStroke(linewidth=2.2, foreground=PAPER)])
    taken += [box] * 8  # covering a label is worse than covering a line


def _spot(panel: Axes, x: float, y: float) -> labels.Spot:
    across, up = panel.transData.transform((x, y))
    return float(across), float(up)


def _figure(height: float, title: str, subtitle: str) -> Figure:
    """A figure `height` inches high, with title and subtitle."""
    figure = Figure(figsize=(WIDTH, height), dpi=100)
    FigureCanvasAgg(figure)
    figure.text(0.14 / WIDTH, 1 - 0.3 / height, title, fontsize=12.5, fontweight="bold")
    figure.text(0.14 / WIDTH, 1 - 0.53 / height, subtitle, fontsize=9, color=SOFT)
    return figure


def _panel(figure: Figure, inches: tuple[float, float, float, float], title: str) -> Axes:
    """Axes at left, bottom, width, height; the title is above the y axis, instead of a rotated label."""
    size = figure.get_size_inches()
    panel = figure.add_axes((inches[0] / size[0], inches[1] / size[1], inches[2] / size[0], inches[3] / size[1]))
    panel.set_title(title, loc="left", fontsize=9.5, pad=9, x=-0.48 / inches[2])
    return panel


def _budget(value: int | None) -> str:
    """A thinking budget as a short label."""
    return UNLIMITED if value is None else formatting.budget(value)


def _count(value: float, _: object = None) -> str:
    return f"{value:,.10g}"


def _as_percent(panel: Axes, least: int, most: int = 100) -> None:
    panel.set_ylim(least / 100, (most + 0.03 * (most - least)) / 100)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def _reach(rows: Sequence[Sequence[Interval]]) -> tuple[int, int]:
    """Limits in tens of percent that contain all intervals; from 0 unless all are high, to 100 unless all are low."""
    known = [one for row in rows for one in row if one.known]
    low, high = min((one.low for one in known), default=0.0), max((one.high for one in known), default=1.0)
    return (10 * int(10 * low - 0.5) if low > 0.5 else 0), (10 * ceil(10 * high + 0.5) if high < 0.65 else 100)


def _names(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """Model names for the lines; a single model is named in the subtitle."""
    return tuple(_short(one.label, 30) for one in evaluations) if len(evaluations) > 1 else ()


def _subtitle(evaluations: Sequence[Evaluation], head: bool = False) -> str:
    first = evaluations[0]
    parts = [_short(first.label, 34) if len(evaluations) == 1 else f"{len(evaluations)} models"]
    if len({(one.benchmark, one.count) for one in evaluations}) == 1:
        parts.append(f"{first.count:,} {formatting.problems(first)}")
    if head:
        free = all(one.head.thinking_budget is None for one in evaluations)
        parts.append("unlimited thinking" if free else "largest thinking budget")
    return ", ".join([*parts, "95 % intervals"])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def _only_programs(evaluations: Sequence[Evaluation]) -> bool:
    return all(one.benchmark == "programs" for one in evaluations)


def _top(series: Sequence[_Series]) -> float:
    return max((one.high for row in series for one in row.y if one.known), default=0.0)
