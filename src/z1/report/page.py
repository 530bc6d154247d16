"""The HTML page of a report, from top to bottom.

Headline, difficulty, curve, cut-off, table, s1's three metrics, transcripts, and notes on intervals. One file that
makes no network requests: style and pictures are inside, there is no script. All text from models and files is escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape

from z1.records import Interval
from z1.report import formatting, transcript_cards
from z1.report.load import Evaluation, Point
from z1.report.picture import Layout, Picture
from z1.report.style import CSS, MODELS, NAMES
from z1.report.transcripts import RULE, choose

S1 = (
    (
        "Control",
        "%",
        "how often thinking stayed within its budget; 100&nbsp;% is best.",
    ),
    (
        "Scaling",
        "points per 1,000 tokens",
        "mean slope of accuracy over thinking tokens, over all pairs of budgets; positive if thinking helps.",
    ),
    ("Performance", "%", "the best accuracy at any budget."),
)
BY_CONSTRUCTION = (
    "For these programs difficulty is the number of executed steps, and a full trajectory grows with it by "
    "construction."
)


def render(evaluations: Sequence[Evaluation], given: Mapping[str, Picture], title: str, transcripts: int) -> str:
    """The page. `given` are the pictures by name; a missing one is explained."""
    pictures = {name: _layouts(picture, name) for name, picture in given.items()}
    sections = (
        f'<h1>{escape(title)}</h1><p class="headline">{escape(formatting.headline(evaluations))}</p>',
        _difficulty(evaluations, pictures.get("difficulty")),
        _curve(pictures["curve"]),
        _cutoff(pictures.get("cutoff")),
        _table(evaluations),
        _s1(evaluations),
        _transcripts(evaluations, transcripts),
        _footer(evaluations),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def _layouts(picture: Picture, name: str) -> str:
    """Both layouts as elements of the page, of which its style shows one."""
    layouts = {"wide": picture.wide, "narrow": picture.narrow}
    return "".join(_inline(layout, f"{name}-{kind}", kind, picture.finding) for kind, layout in layouts.items())


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


def _picture(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _difficulty(evaluations: Sequence[Evaluation], svg: str | None) -> str:
    heading = "<h2>Thinking tokens and accuracy by difficulty</h2>"
    if svg is None:
        return f"{heading}<p>These problems have no difficulty, so there is no picture.</p>"
    text = " ".join(filter(None, map(_range, evaluations)))
    counts = [cell.n for one in evaluations for cell in one.head_cells]
    caption = f"Each point: {_span(min(counts), max(counts))} graded replies. Bars: 95&nbsp;% intervals."
    without = sum(problem.steps is None for one in evaluations for problem in one.problems.values())
    if without:
        caption += f" {without:,} problem{'s' * (without != 1)} without a difficulty are left out."
    return f"{heading}<p>{escape(text)}</p>{_picture(svg, caption)}"


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


def _curve(svg: str) -> str:
    caption = (
        "A thinking budget is an upper limit; \u221e is unlimited. Left: thinking tokens that were used. "
        "Right: all paid tokens, with hint, answer and probes. Points that are close share a label; "
        "a label that does not fit is left out. Bars: 95&nbsp;% intervals on both axes."
    )
    return f"<h2>Accuracy against tokens</h2>{_picture(svg, caption)}"


def _cutoff(svg: str | None) -> str:
    if svg is None:
        return ""
    caption = (
        "\u221e is unlimited thinking. Blank cells have no graded reply. A single cell has few replies; read the "
        "pattern, not the cell."
    )
    return f"<h2>Accuracy by thinking budget and difficulty</h2>{_picture(svg, caption)}"


def _table(evaluations: Sequence[Evaluation]) -> str:
    head = (
        '<th>thinking budget</th><th title="replies graded">n</th><th>accuracy, %</th>'
        "<th>truncated, %</th><th>thinking tokens</th>"
        "<th>paid tokens</th><th>paper\u2019s phase one</th><th>shifted, %</th><th>cut, %</th><th>unparsed, %</th>"
        "<th>missing</th>"
    )
    bodies = []
    for index, one in enumerate(evaluations):
        name = f'<tr class="model"><th colspan="11" scope="rowgroup">{_swatch(index)}{escape(one.label)}</th></tr>'
        bodies.append(f"<tbody>{name * (len(evaluations) > 1)}{''.join(map(_row, one.points))}</tbody>")
    return (
        "<h2>All numbers</h2><p>Means over the graded replies (n), with 95&nbsp;% intervals. A reply is missing if an "
        "engine or a sandbox failed: it is not wrong and not counted in n. The paper\u2019s phase one counts "
        "everything before the hint, or the whole reply if none was forced. Truncated: the unlimited replies, cut off "
        'after as many tokens as the budget.</p><div class="wide"><table>'
        f"<thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
    )


def _row(point: Point) -> str:
    cells = (
        formatting.budget(point.thinking_budget),
        f"{point.n:,}",
        _both(point.accuracy, "share"),
        _both(point.truncated_accuracy, "share") if point.truncated_accuracy else formatting.NONE,
        _both(point.thinking_tokens),
        _both(point.paid_tokens),
        formatting.tokens(point.phase_one),
        formatting.share(point.shifted),
        formatting.share(point.cut),
        formatting.share(point.unparsed),
        f"{point.missing:,}",
    )
    start = '<tr class="free">' if point.thinking_budget is None else "<tr>"
    return start + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _both(interval: Interval, unit: str = "tokens") -> str:
    value = formatting.share(interval.value) if unit == "share" else formatting.tokens(interval.value)
    return f"{value}<small>{formatting.bracket(interval, unit)}</small>"


def _s1(evaluations: Sequence[Evaluation]) -> str:
    terms = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, _, text in S1)
    head = "".join(f"<th>{name}<br><small>{unit}</small></th>" for name, unit, _ in S1)
    rows = "".join(
        f"<tr><td>{_swatch(index) * (len(evaluations) > 1)}{escape(one.label)}</td>"
        f"<td>{formatting.share(one.s1.control)}</td><td>{_signed(one.s1.scaling)}</td>"
        f"<td>{formatting.share(one.s1.performance)}</td></tr>"
        for index, one in enumerate(evaluations)
    )
    return (
        "<h2>Control, Scaling, Performance</h2><p>The three metrics of s1 (Muennighoff et al., "
        '<a href="https://arxiv.org/abs/2501.19393">arXiv 2501.19393</a>, section 3.2).</p>'
        f'<dl>{terms}</dl><div class="wide"><table class="small"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _signed(value: float) -> str:
    return formatting.NONE if math.isnan(value) else f"{value:+,.1f}".replace("-", "\u2212")


def _swatch(index: int) -> str:
    return f'<span class="swatch" style="background:var({NAMES[MODELS[index % 6]]})"></span>'


def _transcripts(evaluations: Sequence[Evaluation], most: int) -> str:
    shown = choose(evaluations, most)
    if not shown:
        return ""
    return f"<h2>Transcripts</h2><p>{RULE}</p>{transcript_cards.key()}" + "\n".join(map(transcript_cards.card, shown))


def _footer(evaluations: Sequence[Evaluation]) -> str:
    runs = ", ".join(f"<code>{escape(run)}</code>" for run in dict.fromkeys(one.run for one in evaluations))
    note = f"<p>{BY_CONSTRUCTION}</p>" if any(one.benchmark == "programs" for one in evaluations) else ""
    return (
        "<footer><p>A value is followed by its 95&nbsp;% interval in brackets: about 95 in 100 such intervals contain "
        "the value for infinitely many problems of the same kind. Overlapping intervals do not show that two numbers "
        "are equal; <code>z1 compare</code> compares two runs in pairs, on the same problems."
        f"</p><p>Runs: {runs}.</p>{note}</footer>"
    )
