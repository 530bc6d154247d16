"""The pages of the real experiment: a table of all cells, and a report per model and benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from experiments.real.plan import Cell, Plan, cells, why_not
from z1 import report, runs
from z1.evaluate.runner import CURVE

TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ plan.name }}: thinking budgets on real models</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
:root { color-scheme: light dark }
.wide { overflow-x: auto }
.sideways { display: none; color: gray }
@media (max-width: 860px) { .sideways { display: block } }
table { border-collapse: collapse }
th, td { padding: .25rem .75rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child, td[colspan] { text-align: left }
tr { border-bottom: 1px solid #8884 }
</style>
<h1>{{ done }} of {{ rows | length }} cells were run</h1>
<p>{{ plan.samples }} samples per problem at temperature {{ plan.temperature }};
contexts of at most {{ plan.max_model_len }} tokens.
Censored: replies that reached it or the answer's limit. 95&nbsp;% intervals.</p>
{% for bench, models in groups.items() %}<h2>{{ bench }}</h2>
<p class="sideways">Scroll the table sideways for more columns.</p>
<div class="wide"><table>
<tr>{% for name in columns %}<th>{{ name }}{% endfor %}</tr>
{% for row in models %}{% for point in row.points %}
<tr><td>{{ row.name }}{% for value in point.values() %}<td>{{ value }}{% endfor %}</tr>
{% else %}<tr><td>{{ row.name }}<td colspan="7">not run: {{ row.why }}</tr>
{% endfor %}{% endfor %}</table></div>
<p>{% for page, name in pages[bench] %}<a href="{{ page }}">Curve of {{ name }}</a> {% endfor %}</p>
{% endfor %}</html>
"""

COLUMNS = (
    *("model and arm", "budget", "accuracy %", "thinking tokens"),
    *("all tokens", "shifted", "censored", "missing"),
)


def write_pages(plan: Plan, folder: Path, done: Mapping[Cell, Path]) -> Path:
    """Write the report of each model and benchmark, then the table; returns the table's page."""
    out = folder / "report"
    groups: dict[str, list[dict[str, Any]]] = {bench: [] for bench in plan.benchmarks}
    pages: dict[str, list[tuple[str, str]]] = {bench: [] for bench in plan.benchmarks}
    for cell in cells(plan):
        groups[cell.bench].append(_row(plan, cell, done.get(cell)))
    for bench in plan.benchmarks:
        for model in plan.models:
            found = [path for cell, path in done.items() if (cell.bench, cell.model) == (bench, model)]
            if found:
                name = f"{model}-{bench}"
                report.write(found, out / name, title=f"{model} on {bench}", transcripts=6)
                pages[bench].append((f"{name}/index.html", model))
    environment = Environment(autoescape=True)
    rows = [row for group in groups.values() for row in group]
    content = {"plan": plan, "groups": groups, "pages": pages, "rows": rows, "done": len(done), "columns": COLUMNS}
    text = environment.from_string(TEMPLATE).render(content)
    runs.write_text(out / "index.html", text)
    runs.write_json(out / "cells.json", rows)
    return out / "index.html"


def _row(plan: Plan, cell: Cell, folder: Path | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": f"{cell.model}, {cell.arm}", "bench": cell.bench, "points": [], "why": ""}
    if folder is None:
        return {**row, "why": why_not(plan, cell) or "the run was stopped before it"}
    points = runs.read_json(folder / CURVE, "points")["points"]
    return {**row, "folder": str(folder), "points": [_point(point) for point in points]}


def _point(point: Mapping[str, Any]) -> dict[str, str]:
    low, value, high = (100 * one for one in point["accuracy"])
    return {
        "budget": "unlimited" if point["thinking_budget"] is None else f"{point['thinking_budget']:,}",
        "accuracy": f"{value:.1f} [{low:.1f}, {high:.1f}]",
        "thinking": f"{point['thinking_tokens'][1]:,.0f}",
        "paid": f"{point['paid_tokens'][1]:,.0f}",
        "shifted": f"{point['shifted']:.0%}",
        "cut": f"{point['cut']:.0%}",
        "missing": str(point["missing"]),
    }
