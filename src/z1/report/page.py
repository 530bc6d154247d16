"""How does the report read, from top to bottom?

Headline, difficulty, curve, cut-off, table, s1's three scores, transcripts, and how to read it all. One file that asks
the network for nothing: style and pictures are inside, there is no script. All text from models and files is escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape

from z1.records import Interval
from z1.report import formatting, transcript_cards
from z1.report.load import Evaluation, Point
from z1.report.style import CSS, MODELS, NAMES
from z1.report.transcripts import HOW, choose

S1 = (
    (
        "Control",
        "%",
        "how often the thinking stayed within what was asked for; 100&nbsp;% is best.",
    ),
    (
        "Scaling",
        "points per 1,000 tokens",
        "mean slope of accuracy over thinking tokens, over all pairs of windows; above zero where thinking helps.",
    ),
    ("Performance", "%", "the best accuracy at any window."),
)
BY_CONSTRUCTION = (
    "For these programs difficulty is the number of executed steps, and a full trajectory grows with it by "
    "construction."
)


def render(evaluations: Sequence[Evaluation], svgs: Mapping[str, str], title: str, transcripts: int) -> str:
    """The page. `svgs` are the pictures by name; those that are not there are explained instead."""
    pictures = {name: _inline(svg, name) for name, svg in svgs.items()}
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


def _inline(svg: str, name: str) -> str:
    """`svg` as an element of the page: without prolog and title, ids of its own, and colours that follow the page's."""
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|width|height)="[^"]*"', "", svg[: svg.index(">")]) + svg[svg.index(">") :]
    svg = re.sub(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', _crop, svg.replace("xlink:href", "href"), count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
    for colour, variable in NAMES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1).strip()


def _crop(box: re.Match[str]) -> str:
    """The view without the picture's title, for which the page has headings, and without its left margin (points)."""
    left, top = 10, 25
    return f'viewBox="{left} {top} {float(box[1]) - left:g} {float(box[2]) - top:g}"'


def _picture(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _difficulty(evaluations: Sequence[Evaluation], svg: str | None) -> str:
    heading = "<h2>Does it think longer where it must?</h2>"
    if svg is None:
        return f"{heading}<p>These problems carry no difficulty, so there is no picture of it.</p>"
    said = " ".join(filter(None, map(_range, evaluations)))
    counts = [cell.n for one in evaluations for cell in one.head_cells]
    caption = f"Each point: {_span(min(counts), max(counts))} graded replies. Bars: 95&nbsp;% intervals."
    without = sum(problem.steps is None for one in evaluations for problem in one.problems.values())
    if without:
        caption += f" {without:,} problem{'s' * (without != 1)} without a difficulty are not in this picture."
    return f"{heading}<p>{escape(said)}</p>{_picture(svg, caption)}"


def _range(evaluation: Evaluation) -> str:
    known = [cell for cell in evaluation.head_cells if cell.thought.known]
    if len(known) < 2:
        return ""
    ends = (known[0], known[-1])
    easy, hard = (f"{formatting.tokens(one.thought.value)} {formatting.bracket(one.thought)}".rstrip() for one in ends)
    steps = f"{ends[0].steps:,} step{'s' * (ends[0].steps != 1)}"
    last = f"{ends[1].steps:,}"
    return f"{evaluation.label} thinks for {easy} tokens on problems of {steps}, and for {hard} on those of {last}."


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _curve(svg: str) -> str:
    caption = (
        "A window is an upper limit. Left: what was really thought. Right: everything that was paid for, which adds "
        "hint, answer and probes. Points that lie together share a label; where there is no room there is none. "
        "Bars: 95&nbsp;% intervals, both ways."
    )
    return f"<h2>What does the thinking buy?</h2>{_picture(svg, caption)}"


def _cutoff(svg: str | None) -> str:
    if svg is None:
        return ""
    caption = "Blank where no reply was graded. A single cell rests on few replies; read the pattern, not the cell."
    return f"<h2>Which problems does a window cut off?</h2>{_picture(svg, caption)}"


def _table(evaluations: Sequence[Evaluation]) -> str:
    head = (
        '<th>window asked for</th><th title="replies graded">n</th><th>accuracy, %</th>'
        "<th>window off, %</th><th>thinking tokens</th>"
        "<th>all tokens paid</th><th>paper\u2019s phase one</th><th>shifted, %</th><th>cut, %</th><th>unparsed, %</th>"
        "<th>missing</th>"
    )
    bodies = []
    for index, one in enumerate(evaluations):
        name = f'<tr class="model"><th colspan="11" scope="rowgroup">{_swatch(index)}{escape(one.label)}</th></tr>'
        bodies.append(f"<tbody>{name * (len(evaluations) > 1)}{''.join(map(_row, one.points))}</tbody>")
    return (
        "<h2>All numbers</h2><p>Means over the graded replies (n), with 95&nbsp;% intervals. A reply that an engine or "
        "a sandbox failed to give is missing: neither wrong nor counted in n. The paper\u2019s phase one counts "
        "everything before the hint, and the whole reply where none was forced. Window off: free replies, cut after "
        'as many tokens as the window has.</p><div class="wide"><table>'
        f"<thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
    )


def _row(point: Point) -> str:
    cells = (
        formatting.window(point.thinking_budget),
        f"{point.n:,}",
        _both(point.accuracy, "share"),
        _both(point.truncated_accuracy, "share") if point.truncated_accuracy else formatting.NONE,
        _both(point.thought),
        _both(point.paid),
        formatting.tokens(point.phase_one),
        formatting.share(point.shifted),
        formatting.share(point.cut),
        formatting.share(point.unparsed),
        f"{point.missing:,}",
    )
    start = '<tr class="free">' if point.thinking_budget is None else "<tr>"
    return start + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _both(interval: Interval, say: str = "tokens") -> str:
    value = formatting.share(interval.value) if say == "share" else formatting.tokens(interval.value)
    return f"{value}<small>{formatting.bracket(interval, say)}</small>"


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
    return f"<h2>Replies to read</h2><p>{HOW}</p>{transcript_cards.key()}" + "\n".join(
        map(transcript_cards.card, shown)
    )


def _footer(evaluations: Sequence[Evaluation]) -> str:
    runs = ", ".join(f"<code>{escape(run)}</code>" for run in dict.fromkeys(one.run for one in evaluations))
    note = f"<p>{BY_CONSTRUCTION}</p>" if any(one.benchmark == "programs" for one in evaluations) else ""
    return (
        "<footer><p>A value is followed by its 95&nbsp;% interval in brackets: of intervals made in this way about "
        "95 in 100 hold what endless problems of the same kind would give. Two intervals that overlap do not show that "
        "two numbers are equal; models are compared pair by pair, on the same problems, by <code>z1 evaluate</code>."
        f"</p><p>Numbers by {runs}.</p>{note}</footer>"
    )
