"""The report lists the benchmarks and shows both texts with the match highlighted, but no gated items."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from tests.benchmarks.sample_files import jsonl
from z1.curate import contamination_report
from z1.curate.contamination import Contamination
from z1.curate.plan import DecontaminateSettings
from z1.curate.sources import Candidate

ITEM = "If <b>a</b> & b are two digits, how many numbers below one hundred can be written with a and b alone?"


class Marks(HTMLParser):
    """Collects highlighted texts and element names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.marked: list[str] = []
        self.seen: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self._inside = tag == "mark"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.marked.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def found(folder: Path, name: str, rows: list[dict[str, str]], *questions: str) -> Contamination:
    data = str(jsonl(folder / "b.jsonl", rows))
    made = Contamination(
        DecontaminateSettings(against=(name, "mbpp", "programs"), data={name: data, "mbpp": "nowhere"})
    )
    for number, question in enumerate(questions):
        made.drop_reason(Candidate(f"row <{number}>", "p", question, "R"))
    return made


def test_both_texts_are_shown_with_the_match_highlighted(tmp_path: Path) -> None:
    question = f"{'x ' * 400}{ITEM}{' y' * 400}"
    page = contamination_report.render(
        "a plan", found(tmp_path, "gsm8k", [{"question": ITEM, "answer": "1"}], question, question, "Z")
    )
    parts = Marks(page)
    assert parts.marked == [ITEM.rstrip("?")] * 2
    assert "row row &lt;0&gt;, row &lt;1&gt;" in page
    assert "2 rows dropped" in page and "100% of its words are repeated" in page
    assert parts.seen.count("b") == 1
    assert "<b>mbpp</b>: data of a benchmark: got no nowhere" in page
    assert 100 < page.count("x ") < 200 and "\u2026x x" in page and page.count("\u2026</pre>") == 1
    assert "http" not in page.replace("https://huggingface.co/datasets/google-research-datasets/mbpp", "")


def test_gated_items_are_named_and_not_shown(tmp_path: Path) -> None:
    row = {"Question": ITEM, "Record ID": "rec1", "Correct Answer": "one thing"}
    rows = [{**row, **{f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)}}]
    page = contamination_report.render("p", found(tmp_path, "gpqa-diamond", rows, ITEM))
    assert "gpqa-diamond rec1" in page and "Gated" in page and "row &lt;0&gt;" in page
    assert "two digits" not in page and "one thing" not in page


def test_a_report_without_findings(tmp_path: Path) -> None:
    page = contamination_report.render("p", found(tmp_path, "gsm8k", [{"question": ITEM, "answer": "1"}], "Z"))
    assert "0 rows dropped" in page and "<mark>" not in page
