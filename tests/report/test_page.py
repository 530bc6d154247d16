"""The HTML page is one file with every number, and loads nothing from the network."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from z1.report import formatting, page
from z1.report.load import Evaluation, read
from z1.report.picture import Layout, Picture
from z1.report.style import DARK, NAMES

SVG = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "x" "http://www.w3.org/x.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="576pt" height="300pt" viewBox="0 0 576 300" xmlns="http://x">
 <metadata>http://purl.org</metadata><defs><path id="a"/></defs><use xlink:href="#a" style="fill: #0072b2"/>
 <g clip-path="url(#a)"/></svg>"""


PICTURE = Picture("A <finding>", *[Layout(b"", SVG, 30)] * 2)


class Reader(HTMLParser):
    """Collects ids and everything that would be loaded; checks that elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        for name, value in attrs:
            self.ids += [value or ""] * (name == "id")
            is_inside = (value or "").startswith(("#", "data:text/csv;", "data:application/json;"))
            if name in {"src", "href", "xlink:href", "data", "srcset"} and not is_inside:
                self.loads.append((tag, value or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def render(evaluations: tuple[Evaluation, ...], transcripts: int = 8) -> str:
    return page.render(evaluations, dict.fromkeys(("difficulty", "curve", "cutoff"), PICTURE), "A <title>", transcripts)


def test_the_page_is_self_contained(folder: Path, other: Path) -> None:
    text = render(read([folder, other]))
    reader = Reader()
    reader.feed(text)
    assert reader.open == [] and len(set(reader.ids)) == len(reader.ids) == 6
    assert reader.loads == [("a", "https://arxiv.org/abs/2501.19393")]
    assert re.findall(r"https?://[^\"<]*", text) == ["https://arxiv.org/abs/2501.19393"]
    assert "<script" not in text and "@import" not in text and "url(http" not in text
    assert 'href="#curve-wide-a" style="fill: var(--model-0)"' in text and 'clip-path="url(#curve-wide-a)"' in text
    assert "A &lt;title&gt;" in text and "other &lt;model&gt;" in text and "<model>" not in text


def test_every_number_of_the_table(evaluations: tuple[Evaluation, ...]) -> None:
    text = render(evaluations)
    for point in evaluations[0].points:
        row = [formatting.budget(point.thinking_budget), f"{point.n:,}"]
        row += [f"{formatting.share(point.accuracy.value)}<small>{formatting.bracket(point.accuracy, 'share')}</small>"]
        full = point.truncated_accuracy
        both = full and f"{formatting.share(full.value)}<small>{formatting.bracket(full, 'share')}</small>"
        row += [both or formatting.NONE]
        row += [
            f"{formatting.tokens(one.value)}<small>{formatting.bracket(one)}</small>"
            for one in (point.thinking_tokens, point.paid_tokens)
        ]
        row += [formatting.tokens(point.phase_one), *map(formatting.share, (point.shifted, point.cut, point.unparsed))]
        cells = "".join(f"<td>{cell}</td>" for cell in [*row[1:], f"{point.missing:,}"])
        assert f'<th scope="row">{row[0]}</th>{cells}' in text
    for number in ("98.7", "\u221212.3", "65.4", "[1,234,\u00a03,456]", "[20.1,\u00a040.1]"):
        assert number in text


def test_the_order_of_the_page(evaluations: tuple[Evaluation, ...]) -> None:
    text = render(evaluations)
    marks: tuple[str, ...]
    marks = ("<h1>A &lt;finding&gt;", "headline", "curve-wide-a", "difficulty-wide-a", "cutoff-narrow-a", "All numbers")
    marks += ("Control", "Transcripts", "<footer>")
    places = [text.index(mark, text.index("<body>")) for mark in marks]
    assert places == sorted(places)
    assert "run-of-tiny evaluate-1a2b" in text[places[-1] :] and page.BY_CONSTRUCTION in text[places[-1] :]


def test_missing_parts_are_left_out(other: Path) -> None:
    evaluations = tuple(replace(one, benchmark="gpqa") for one in read([other]))
    text = page.render(evaluations, {"curve": PICTURE}, "", 0)
    assert "have no difficulty" in text and "thinking budget and difficulty" not in text
    assert page.BY_CONSTRUCTION not in text and "Transcripts" not in text


def test_budgets_with_the_same_figures_share_a_row(evaluations: tuple[Evaluation, ...]) -> None:
    (one,) = evaluations
    first, *rest = one.points
    same = [replace(rest[-1], thinking_budget=budget) for budget in (64, 128, None)]
    text = render((replace(one, points=(first, *same)),))
    assert text.count('<th scope="row">') == 3 and '<th scope="row">64 to unlimited</th>' in text


@pytest.mark.parametrize("colour", NAMES)
def test_every_colour_has_a_dark_counterpart(colour: str) -> None:
    assert DARK[colour] != colour and re.fullmatch("#[0-9a-f]{6}", DARK[colour])
