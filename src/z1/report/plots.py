"""Pictures of evaluations, each in two layouts:

    difficulty   thinking tokens, and accuracy below them, by steps
    curve        accuracy against thinking tokens, and against all paid tokens
    cutoff       accuracy by thinking budget and steps

The title of a picture is its finding. Bars are the 95 % intervals that were read; unknown numbers are not drawn. A
label touches no line and no other label; one for which there is no place is left out. Colours repeat after six models,
markers and dashes tell models apart in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from z1.records import Interval
from z1.report import figure as figures
from z1.report import findings, formatting, labels
from z1.report.figure import Drawing, Header, panel
from z1.report.load import Cell, Curve
from z1.report.picture import Picture
from z1.report.style import DASHES, MARKERS, MODELS, PAPER, SOFT

WIDE, NARROW = 7.2, 3.58
"""Widths of the layouts in inches of 100 page pixels: for a page, and for a phone."""

UNLIMITED = "\u221e"
"""Label of unlimited thinking; a word would need more room than a point has."""

_SHADES = ("#eef3f8", "#c3d9ec", "#86b4d9", "#3f86bf", "#0b4f8a")
_LEFT, _UNDER, _ROW = 0.56, 0.5, 0.26
"""Inches left of a panel and below it, and of a row of the cut-off picture."""


@dataclass(frozen=True, slots=True)
class _Series:
    """One model's points in one panel, easiest or smallest first."""

    x: tuple[Interval, ...]
    y: tuple[Interval, ...]
    labels: tuple[str, ...] = ()


def draw(curves: Sequence[Curve]) -> dict[str, Picture]:
    """The pictures by name; "difficulty" and "cutoff" only if a problem has steps."""
    with figures.settings():
        wide, narrow = (drawings(curves, width) for width in (WIDE, NARROW))
        return {name: Picture(wide[name].title, wide[name].layout(), narrow[name].layout()) for name in wide}


def drawings(curves: Sequence[Curve], width: float) -> dict[str, Drawing]:
    """The pictures, `width` inches wide; to be called within `figure.settings`."""
    graded = [one for one in curves if any(cell.accuracy.known for cell in one.cells)]
    found = {"difficulty": _difficulty(curves, width)} if any(one.head_cells for one in graded) else {}
    ratios = findings.ratios(curves)
    found["curve"] = _curve(curves, ratios, width)
    if graded:
        found["cutoff"] = _cutoff(graded, findings.accuracy_by_budget(graded, ratios), width)
    return found


def _difficulty(curves: Sequence[Curve], width: float) -> Drawing:
    header = Header(findings.thinking_by_steps(curves), _subtitle(curves, head=True), _names(curves, width))
    drawing = figures.draw(width, 4.3, header)
    inner = width - _LEFT - 0.12
    above = panel(drawing.figure, (_LEFT, 2.14, inner, 1.86), "thinking tokens, mean")
    under = panel(drawing.figure, (_LEFT, _UNDER, inner, 1.16), "accuracy")
    under.set_xlabel(_steps_axis(curves))
    thought, right = [], []
    for index, one in enumerate(curves):
        offset = 0.09 * (index - (len(curves) - 1) / 2)
        x = tuple(Interval(*[cell.steps + offset] * 3) for cell in one.head_cells)
        thought.append(_Series(x, tuple(cell.thinking_tokens for cell in one.head_cells)))
        right.append(_Series(x, tuple(cell.accuracy for cell in one.head_cells)))
    steps = [cell.steps for one in curves for cell in one.head_cells]
    for each in (above, under):
        each.set_xlim(min(steps) - 0.6, max(steps) + 0.6)
        each.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=20 if width == WIDE else 14, steps=[1, 2, 5, 10]))
    above.set_ylim(0, 1.08 * _top(thought) or 1)
    above.tick_params(labelbottom=False)
    above.yaxis.set_major_formatter(FuncFormatter(_count))
    _as_percent(under, 0)
    _series(above, thought)
    _series(under, right)
    return drawing


def _curve(curves: Sequence[Curve], ratios: Mapping[str, float], width: float) -> Drawing:
    about = f"{_subtitle(curves)}. Numbers at points are thinking budgets ({UNLIMITED} is unlimited)"
    header = Header(findings.accuracy_by_tokens(curves, ratios), about, _names(curves, width))
    is_wide, height = width == WIDE, 2.75 + 0.25 * len(ratios)
    inner = (width - 2 * _LEFT - 0.2) / 2 if is_wide else width - _LEFT - 0.12
    body = _UNDER + height + 0.34
    drawing = figures.draw(width, body if is_wide else 2 * body, header)
    left = panel(drawing.figure, (_LEFT, _UNDER if is_wide else body + _UNDER, inner, height), "accuracy")
    right = panel(drawing.figure, (width - inner - 0.12, _UNDER, inner, height), "" if is_wide else "accuracy")
    accuracy = [tuple(point.accuracy for point in one.points) for one in curves]
    budgets = [tuple(_budget(point.thinking_budget) for point in one.points) for one in curves]
    for axes, name, kind in (
        (left, "thinking tokens, mean", "thinking_tokens"),
        (right, "paid tokens, mean", "paid_tokens"),
    ):
        x = [tuple(getattr(point, kind) for point in one.points) for one in curves]
        axes.set_xlabel(name)
        across = _top([_Series((), one) for one in x]) or 1
        axes.set_xlim(-0.05 * across, 1.09 * across)
        ticks = MaxNLocator(nbins=6 if is_wide else 5).tick_values(0, across)
        axes.set_xticks([tick for tick in ticks if 0 <= tick <= across])
        axes.xaxis.set_major_formatter(FuncFormatter(_count))
        _as_percent(axes, *_reach(accuracy), above=25.0 * len(ratios) if is_wide or axes is left else 0.0)
        taken = _ratios(axes, curves, ratios) if axes is left else []
        _series(axes, [_Series(*row) for row in zip(x, accuracy, budgets, strict=True)], taken)
    return drawing


def _ratios(axes: Axes, curves: Sequence[Curve], ratios: Mapping[str, float]) -> list[labels.Box]:
    """A bracket for each ratio above the curves, from our unlimited point to the other's; returns the place taken."""
    frame, taken = axes.get_window_extent(), []
    ours = _spot(axes, curves[0].head.thinking_tokens.value, 0)[0]
    order = [(index, one) for index, one in enumerate(curves) if one.label in ratios]
    for row, (index, one) in enumerate(sorted(order, key=lambda each: each[1].head.thinking_tokens.value)):
        theirs, y = _spot(axes, one.head.thinking_tokens.value, 0)[0], frame.y1 + 2 - 25 * (len(order) - row)
        ends = [(ours, y - 4), (ours, y), (theirs, y), (theirs, y - 4)]
        x, up = zip(*(axes.transData.inverted().transform(end) for end in ends), strict=True)
        axes.plot(x, up, color=SOFT, linewidth=1.1, zorder=3)
        text = axes.text(0, 0, f"{ratios[one.label]:.2f} \u00d7", color=MODELS[index % 6], fontweight="bold", zorder=4)
        size = text.get_window_extent()
        left = min(max((ours + theirs - size.width) / 2, frame.x0 + 2), frame.x1 - size.width)
        _move(axes, text, (left, y + 4))
        taken.append((min(ours, theirs, left) - 2, y - 6, max(ours, theirs, left + size.width) + 2, y + 20))
    return taken


def _cutoff(curves: Sequence[Curve], finding: str, width: float) -> Drawing:
    names = _names(curves, width) or ("",)
    gap = 0.56 if len(curves) > 1 else 0.34
    body = _ROW * sum(len(_rows(one)) for one in curves) + gap * len(curves) + 0.26
    steps = sorted({cell.steps for one in curves for cell in one.cells})
    inner = min(width - 0.66 - 0.12, 0.6 * len(steps))
    size = 8.5 if inner / len(steps) > 0.3 else 7 if inner / len(steps) > 0.225 else 0
    about = "Accuracy in percent" if size else "Accuracy from pale (0 %) to deep blue (100 %)"
    subtitle = f"{about}, by thinking budget (rows; {UNLIMITED} is unlimited) and steps"
    drawing = figures.draw(width, body, Header(finding, subtitle))
    bottom = body + 0.08
    for curve, name in zip(curves, names, strict=True):
        bottom -= _ROW * len(_rows(curve)) + gap - 0.24
        axes = panel(drawing.figure, (0.66, bottom, inner, _ROW * len(_rows(curve))), name)
        _cells(axes, curve, steps, size)
        bottom -= 0.24
    axes.set_xlabel(_steps_axis(curves))
    return drawing


def _cells(axes: Axes, curve: Curve, steps: Sequence[int], size: float) -> None:
    """One model's map: a row per budget, unlimited on top; a column per number of steps; unknown cells are blank."""
    rows = _rows(curve)
    for index, row in enumerate(rows):
        for cell in curve.cells:
            if cell.accuracy.known and cell.thinking_budget == row[0]:
                _cell(axes, cell, (steps.index(cell.steps), index), size)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    every = -(-len(steps) // 15)
    axes.set_xticks(range(0, len(steps), every), [f"{one:,}" for one in steps[::every]])
    axes.set_yticks(range(len(rows)), [_budgets([row[0], row[-1]]) for row in rows])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _rows(curve: Curve) -> list[list[int | None]]:
    """The budgets of each row, smallest first; consecutive ones with the same figures share a row."""
    figures = {
        point.thinking_budget: [
            (cell.steps, f"{cell.accuracy.value:.2f}")
            for cell in curve.cells
            if cell.thinking_budget == point.thinking_budget
        ]
        for point in curve.points
    }
    return [list(budgets) for _, budgets in groupby(figures, key=lambda budget: figures[budget])]


def _cell(axes: Axes, cell: Cell, at: tuple[int, int], size: float) -> None:
    share = cell.accuracy.value
    axes.add_patch(Rectangle((at[0] - 0.48, at[1] - 0.46), 0.96, 0.92, facecolor=_shade(share), linewidth=0))
    if size:
        ink = "#fefefe" if share > 0.8 else "#101418"
        axes.text(*at, f"{100 * share:.0f}", color=ink, fontsize=size, ha="center", va="center_baseline")


def _shade(share: float) -> tuple[float, ...]:
    """From pale to deep blue, interpolated between five shades."""
    index = min(int(share * 4), 3)
    low, high = (tuple(int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5)) for shade in _SHADES[index : index + 2])
    return tuple(a + (b - a) * (4 * share - index) for a, b in zip(low, high, strict=True))


def _series(axes: Axes, series: Sequence[_Series], taken: Sequence[labels.Box] = ()) -> None:
    """Draw lines with bars, then the labels that fit around them and `taken`. The panel's limits must be final."""
    covered, spots = list(taken), []
    for index, given in enumerate(series):
        known = [i for i, (x, y) in enumerate(zip(given.x, given.y, strict=True)) if x.known and y.known]
        x, y = tuple(given.x[i] for i in known), tuple(given.y[i] for i in known)
        one = _Series(x, y, tuple(given.labels[i] for i in known if given.labels))
        where = [_spot(axes, a.value, b.value) for a, b in zip(x, y, strict=True)]
        spots.append((one, where))
        _line(axes, one, index)
        covered += labels.line(where) + [labels.around(*spot, 5) for spot in where] + _bars(axes, one)
    for index, (one, where) in enumerate(spots):
        for group in reversed(labels.groups(where, 13)) if one.labels else ():
            ends = dict.fromkeys((one.labels[group[0]], one.labels[group[-1]]))
            text = "\u2013".join(ends)
            _label(axes, text, [where[i] for i in reversed(group)], covered, MODELS[index % 6])


def _line(axes: Axes, one: _Series, index: int) -> None:
    colour, x, y = MODELS[index % 6], [i.value for i in one.x], [i.value for i in one.y]
    reach = [[[i.value - i.low for i in side], [i.high - i.value for i in side]] for side in (one.x, one.y)]
    axes.errorbar(x, y, xerr=reach[0], yerr=reach[1], fmt="none", ecolor=colour, elinewidth=1.1, alpha=0.5, zorder=2)
    axes.plot(x, y, color=colour, linewidth=1.5, linestyle=DASHES[index % 6], alpha=0.9, zorder=3)
    (dots,) = axes.plot(x, y, MARKERS[index % 6], color=colour, markersize=5.4, zorder=4, clip_on=False)
    dots.set(markeredgecolor=PAPER, markeredgewidth=0.9)


def _bars(axes: Axes, one: _Series) -> list[labels.Box]:
    boxes = []
    for x, y in zip(one.x, one.y, strict=True):
        (left, low), (right, high) = _spot(axes, x.low, y.low), _spot(axes, x.high, y.high)
        middle = _spot(axes, x.value, y.value)
        boxes += [(left, middle[1] - 1.5, right, middle[1] + 1.5), (middle[0] - 1.5, low, middle[0] + 1.5, high)]
    return boxes


def _label(axes: Axes, text: str, anchors: Sequence[labels.Spot], taken: list[labels.Box], colour: str) -> None:
    """Write `text` beside one of `anchors` (pixels) where nothing is `taken`, and record the place; else leave it out.

    The paper behind it hides the grid.
    """
    written = axes.text(0, 0, text, color=colour, fontsize=8.5, zorder=1.5)
    extent, frame = written.get_window_extent(), axes.get_window_extent()
    size = (extent.width + 4, extent.height + 4)
    inside = (frame.x0 + 3, frame.y0 + 3, frame.x1 + 10, frame.y1 + 2)
    box, covering = labels.place(anchors, size, taken, inside, (4, 8, 12))
    if covering > 0:
        written.remove()
        return
    _move(axes, written, (box[0] + 2, box[1] + 2))
    written.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 0.8})
    taken.append(box)


def _move(axes: Axes, written: Any, to: labels.Spot) -> None:
    """Move a text at the origin of the data, so that its lower left corner is at `to` (pixels)."""
    below = written.get_window_extent().y0 - _spot(axes, 0, 0)[1]
    left, bottom = axes.transData.inverted().transform((to[0], to[1] - below))
    written.set_position((float(left), float(bottom)))


def _spot(axes: Axes, x: float, y: float) -> labels.Spot:
    across, up = axes.transData.transform((x, y))
    return float(across), float(up)


def _budget(value: int | None) -> str:
    """A thinking budget as a short label."""
    return UNLIMITED if value is None else formatting.budget(value)


def _budgets(values: Sequence[int | None]) -> str:
    """Consecutive thinking budgets as a short label."""
    first, last = _budget(values[0]), _budget(values[-1])
    return first if first == last else f"{first}\u2013{last}"


def _count(value: float, _: object = None) -> str:
    return f"{value:,.10g}"


def _as_percent(axes: Axes, least: int, most: int = 100, above: float = 0.0) -> None:
    """Limits from `least` to `most` percent, with `above` pixels more."""
    height = axes.get_window_extent().height
    axes.set_ylim(least / 100, (least + 1.03 * (most - least) * height / (height - above)) / 100)
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(least / 100, most / 100)
    axes.set_yticks([tick for tick in ticks if least / 100 <= tick <= most / 100 + 1e-9])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def _reach(rows: Sequence[Sequence[Interval]]) -> tuple[int, int]:
    """Limits in tens of percent that contain all intervals; from 0 unless all are high, to 100 unless all are low."""
    known = [one for row in rows for one in row if one.known]
    low, high = min((one.low for one in known), default=0.0), max((one.high for one in known), default=1.0)
    return (10 * int(10 * low - 0.5) if low > 0.5 else 0), (10 * ceil(10 * high + 0.5) if high < 0.65 else 100)


def _names(curves: Sequence[Curve], width: float) -> tuple[str, ...]:
    """Model names for the legend; a single model is named in the title."""
    return tuple(figures.shortened(one.label, width - 0.8) for one in curves) if len(curves) > 1 else ()


def _subtitle(curves: Sequence[Curve], head: bool = False) -> str:
    first = curves[0]
    parts = [] if len(curves) == 1 else [f"{len(curves)} models"]
    if len({(one.benchmark, one.count) for one in curves}) == 1:
        parts.append(f"{first.count:,} {formatting.problems(first)}")
    if head:
        free = all(one.head.thinking_budget is None for one in curves)
        parts.append("unlimited thinking" if free else "largest thinking budget")
    return ", ".join([*parts, "95\u00a0% intervals"])


def _steps_axis(curves: Sequence[Curve]) -> str:
    return (
        "executed steps of the program" if all(one.benchmark == "programs" for one in curves) else "difficulty (steps)"
    )


def _top(series: Sequence[_Series]) -> float:
    return max((one.high for row in series for one in row.y if one.known), default=0.0)
