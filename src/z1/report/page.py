"""The HTML page of a report: the values of its template.

Finding, curve, difficulty, cut-off, table, s1's three metrics, transcripts, and notes on intervals. One file that makes
no network requests: style, pictures and numbers are inside, there is no script. All text from models and files is
escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from itertools import groupby
from typing import Any

from z1.records import Interval
from z1.report import findings, formatting, templates, transcript_cards
from z1.report.downloads import downloads
from z1.report.load import Evaluation, Point
from z1.report.picture import Layout, Picture
from z1.report.style import CSS, MODELS, NAMES
from z1.report.transcripts import RULE, choose

BY_CONSTRUCTION = (
    "For these programs difficulty is the number of executed steps, and a full trajectory grows with it by "
    "construction."
)


HEADS = (
    *("thinking budget", "n", "accuracy, %", "truncated, %", "thinking tokens", "paid tokens"),
    *("paper\u2019s phase one", "shifted, %", "cut, %", "unparsed, %", "missing"),
)
"""The columns of the table."""


def render(evaluations: Sequence[Evaluation], given: Mapping[str, Picture], title: str, transcripts: int) -> str:
    """The page. `given` are the pictures by name; a missing one is explained."""
    counts = [cell.n for one in evaluations for cell in one.head_cells]
    return templates.render(
        "page",
        title=title,
        css=CSS,
        headline=formatting.headline(evaluations),
        pictures={name: _elements(picture, name) for name, picture in given.items()},
        downloads={name: downloads(name, evaluations) for name in given},
        compared=evaluations[0].label if findings.ratios(evaluations) else "",
        ranges=" ".join(filter(None, map(_range, evaluations))),
        graded=_span(min(counts, default=0), max(counts, default=0)),
        without_steps=sum(problem.steps is None for one in evaluations for problem in one.problems.values()),
        heads=HEADS,
        models=[_model(one) for one in evaluations],
        colours=[NAMES[colour] for colour in MODELS],
        cards=[transcript_cards.card(shown) for shown in choose(evaluations, transcripts)],
        rule=RULE,
        key=transcript_cards.KEY,
        runs=list(dict.fromkeys(one.run for one in evaluations)),
        are_programs=any(one.benchmark == "programs" for one in evaluations),
        by_construction=BY_CONSTRUCTION,
    )


def _elements(picture: Picture, name: str) -> dict[str, Any]:
    """A picture of the page: both layouts, of which its style shows one."""
    layouts = {"wide": picture.wide, "narrow": picture.narrow}
    elements = {kind: _inline(layout, f"{name}-{kind}", kind, picture.finding) for kind, layout in layouts.items()}
    return {"finding": picture.finding, **elements}


def _inline(layout: Layout, name: str, kind: str, finding: str) -> str:
    """The SVG as an element of the page: no prolog and no title, unique ids, and the colours of the page."""
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", layout.svg[layout.svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|width|height)="[^"]*"', "", svg[: svg.index(">")]) + svg[svg.index(">") :]
    crop = partial(_crop, top=layout.title_height)
    svg = re.sub(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', crop, svg.replace("xlink:href", "href"), count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
    for colour, variable in NAMES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg", f'<svg class="{kind}" role="img" aria-label="{escape(finding)}"', 1).strip()


def _crop(box: re.Match[str], top: float) -> str:
    """The view box without the picture's title, since the page has headings, and without its left margin (points)."""
    left = 7
    return f'viewBox="{left} {top:g} {float(box[1]) - left:g} {float(box[2]) - top:g}"'


def _range(evaluation: Evaluation) -> str:
    known = [cell for cell in evaluation.head_cells if cell.thinking_tokens.known]
    if len(known) < 2:
        return ""
    ends = (known[0], known[-1])
    easy, hard = (
        f"{formatting.tokens(one.thinking_tokens.value)} {formatting.bracket(one.thinking_tokens)}".rstrip()
        for one in ends
    )
    steps = f"{ends[0].steps:,} step{'s' * (ends[0].steps != 1)}"
    last = f"{ends[1].steps:,}"
    return (
        f"{evaluation.label} uses {easy} thinking tokens on problems of {steps} and {hard} on problems of {last} steps."
    )


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _model(one: Evaluation) -> dict[str, Any]:
    """A model of the tables; budgets with the same figures share a row."""
    groups = [list(group) for _, group in groupby(one.points, key=_figures)]
    rows = [
        {
            "budget": formatting.budgets([point.thinking_budget for point in group]),
            "cells": _figures(group[0]),
            "is_unlimited": group[-1].thinking_budget is None,
        }
        for group in groups
    ]
    s1 = {"control": formatting.share(one.s1.control), "performance": formatting.share(one.s1.performance)}
    return {"label": one.label, "rows": rows, "scaling": _signed(one.s1.scaling), **s1}


def _figures(point: Point) -> list[Any]:
    """The cells of a point, as they are shown."""
    truncated = point.truncated_accuracy
    return [
        f"{point.n:,}",
        _both(point.accuracy, "share"),
        _both(truncated, "share") if truncated else formatting.NONE,
        _both(point.thinking_tokens),
        _both(point.paid_tokens),
        formatting.tokens(point.phase_one),
        *map(formatting.share, (point.shifted, point.cut, point.unparsed)),
        f"{point.missing:,}",
    ]


def _both(interval: Interval, unit: str = "tokens") -> dict[str, str]:
    value = formatting.share(interval.value) if unit == "share" else formatting.tokens(interval.value)
    return {"value": value, "bracket": formatting.bracket(interval, unit)}


def _signed(value: float) -> str:
    return formatting.NONE if math.isnan(value) else f"{value:+,.1f}".replace("-", "\u2212")
