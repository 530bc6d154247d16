"""Reports: evaluation folders in, one HTML page and its pictures out.

    load.py              reads and checks evaluation folders
    page.py              the HTML page: the values of its template
    templates/           its templates
    downloads.py         the numbers of a picture as CSV and JSON
    plots.py             the pictures, with matplotlib
    picture.py           a picture and its files
    figure.py            header and panels of a picture
    findings.py          what a picture shows, in one sentence
    labels.py            label placement in a picture
    style.py             colours, and the style sheet of the page
    formatting.py        numbers and the headline as text
    transcripts.py       which replies are shown, by a fixed rule
    transcript_cards.py  one reply as HTML
    study_page.py        the Markdown page of a study
    study_pictures.py    its pictures

A report shows the numbers of `curve.json`, which `evaluate` computed, and computes no statistics of its own. matplotlib
is imported only when a report is written.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from z1.errors import UserError
from z1.report import load, page
from z1.report.picture import file_names
from z1.surrogates import replace_surrogates

PICTURES = ("difficulty", "curve", "cutoff")
"""Names of the pictures; those by difficulty need problems with steps."""


def write(folders: Sequence[Path], out: Path, *, title: str, transcripts: int, names: Sequence[str] = ()) -> Path:
    """Write `out/index.html` and its pictures from evaluation `folders`, one colour each; returns the page's path.

    The models are called `names`, one for each folder, if given. At most `transcripts` replies are shown, over all
    folders. Everything is built beside `out` and then moved, the page last, so a failure leaves an older report
    unchanged; the same input gives the same bytes. Raises `UserError` if a folder is missing, torn or inconsistent, and
    if `out` is a file.
    """
    if transcripts < 0:
        raise UserError("number of transcripts", transcripts, "give 0 or more")
    evaluations = load.read(folders, names)
    if out.exists() and not out.is_dir():
        raise UserError("folder for the report", f"{out}, which is a file", "choose another path")
    from z1.report import plots

    pictures = plots.draw(evaluations)
    content = page.render(evaluations, pictures, title, transcripts)
    files = {name: content for key, picture in pictures.items() for name, content in picture.files(key).items()}
    _move_in(files | {"index.html": replace_surrogates(content).encode()}, out)
    return out / "index.html"


def _move_in(files: dict[str, bytes], out: Path) -> None:
    """Write all `files` beside `out`, then move them in, in order, and delete other pictures of an older report."""
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, content in files.items():
            (beside / name).write_bytes(content)
        out.mkdir(exist_ok=True)
        for name in files:
            os.replace(beside / name, out / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for name in PICTURES:
        for stale in set(file_names(name)) - set(files):
            (out / stale).unlink(missing_ok=True)
