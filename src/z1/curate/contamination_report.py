"""Contamination report: one HTML page with the rows dropped as contaminated.

Per benchmark: how many items were compared and how many rows repeat one; then each benchmark that could not be read,
and every repeated item beside the row that repeats it, with the longest common n-gram run highlighted in both. Items of
a gated benchmark are named and not shown, as their authors ask. The page needs no network.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape

from z1.benchmarks import BENCHMARKS
from z1.curate.contamination import Contamination, Finding

CONTEXT = 240
"""Characters shown before and after the highlighted match."""

CSS = """
:root{color-scheme:light dark;--soft:#636870;--grid:#d9dce0;--mark:#fdeccb}
@media (prefers-color-scheme:dark){:root{--soft:#a0a5ad;--grid:#3a4048;--mark:#5a4616}
body{background:#16181c;color:#e5e5e1}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:32px 24px 64px;font:15px/1.5 system-ui,"Segoe UI",Roboto,Arial,sans-serif}
h1{font-size:22px;line-height:1.3;margin:0 0 12px}h2{font-size:16px;margin:36px 0 2px;overflow-wrap:anywhere}
p{margin:4px 0 10px;max-width:52em}.soft{color:var(--soft)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 12px 4px 0;text-align:right;border-bottom:1px solid var(--grid);vertical-align:baseline}
th:first-child,td:first-child,.left{text-align:left}
.both{display:grid;grid-template-columns:1fr 1fr;gap:16px}
@media (max-width:720px){.both{grid-template-columns:1fr}}
figure{margin:0;min-width:0}figcaption{font-size:13px;color:var(--soft);overflow-wrap:anywhere}
pre{margin:4px 0 0;padding:10px 12px;border:1px solid var(--grid);border-radius:6px;white-space:pre-wrap;
overflow-wrap:anywhere;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
mark{background:var(--mark);color:inherit;border-radius:2px}
"""


def render(name: str, contamination: Contamination) -> str:
    """The report of plan `name`."""
    grouped: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for finding in contamination.findings:
        item = finding.overlap.item
        grouped[item.benchmark, item.name, finding.text].append(finding)
    ordered = sorted(grouped.values(), key=lambda group: (group[0].overlap.item.benchmark, -group[0].overlap.share))
    rows = len(contamination.findings) + contamination.by_hash.total()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Contamination of {escape(name)}</title><style>{CSS}</style></head><body>\n"
        f"<h1>{escape(name)}: {rows:,} rows dropped, which repeat a benchmark</h1>\n"
        + _summary(contamination)
        + "\n".join(map(_group, ordered))
        + "\n</body></html>\n"
    )


def _summary(contamination: Contamination) -> str:
    repeated = contamination.summary()["repeated"]
    counts: dict[str, int] = defaultdict(int)
    for finding in contamination.findings:
        counts[finding.overlap.item.benchmark] += 1
    lines = [
        (name, f"{n:,}", f"{repeated.get(name, 0):,}", f"{counts[name]:,}") for name, n in contamination.items.items()
    ]
    lines += [(name, "test split", "by hash", f"{contamination.by_hash[name]:,}") for name in contamination.builtin]
    cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    unreadable = "".join(
        f"<li><b>{escape(name)}</b>: {escape(reason)}</li>" for name, reason in contamination.unreadable.items()
    )
    settings = contamination.settings
    return (
        f'<p class="soft">A row is dropped if it repeats {settings.min_share:.0%} or more of an item\u2019s words and '
        f"{settings.min_words} or more of them, in n-grams of {settings.ngram_size} words; "
        f"n-grams in {settings.boilerplate_items} or more items of a benchmark are ignored. "
        "Highlighted: the longest match.</p>\n"
        "<table><tr><th>benchmark</th><th>items compared</th><th>of them repeated</th><th>rows dropped</th></tr>"
        f"{cells}</table>\n" + (f"<h2>Not read, so not compared</h2><ul>{unreadable}</ul>\n" if unreadable else "")
    )


def _group(group: Sequence[Finding]) -> str:
    overlap, text = group[0].overlap, group[0].text
    rows = ", ".join(finding.row for finding in group)
    head = f"<h2>{escape(overlap.item.benchmark)} {escape(overlap.item.name)}</h2>"
    if "gated" in BENCHMARKS[overlap.item.benchmark].licence:
        return f'{head}<p class="soft">Repeated by {escape(rows)}. Gated, so not shown.</p>'
    return (
        f'{head}<div class="both">'
        f"<figure><figcaption>row {escape(rows)}</figcaption><pre>{highlight(text, overlap.text_span)}</pre></figure>"
        f"<figure><figcaption>benchmark item; {overlap.share:.0%} of its words are repeated</figcaption>"
        f"<pre>{highlight(overlap.item.text, overlap.item_span)}</pre></figure></div>"
    )


def highlight(text: str, span: tuple[int, int]) -> str:
    """`text` as HTML with the characters of `span` highlighted, and CONTEXT around them."""
    first, end = span
    before, after = text[max(0, first - CONTEXT) : first], text[end : end + CONTEXT]
    start = "\u2026" * (first > CONTEXT) + escape(before)
    return f"{start}<mark>{escape(text[first:end])}</mark>{escape(after)}" + "\u2026" * (end + CONTEXT < len(text))
