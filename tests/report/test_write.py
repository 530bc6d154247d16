"""A report is deterministic, and written whole or not at all."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.browser import CHROMIUM, tab
from z1 import report
from z1.errors import UserError
from z1.report import page
from z1.report.picture import file_names


def test_a_report_is_deterministic_and_replaces_an_older_one(folder: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    first = report.write([folder], out, title="Once", transcripts=4)
    assert first == out / "index.html"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"index.html", *(file for name in report.PICTURES for file in file_names(name))}
    again = report.write([folder], tmp_path / "again", title="Once", transcripts=4).parent
    assert before == {path.name: path.read_bytes() for path in again.iterdir()}

    (out / "notes.txt").write_text("mine")
    report.write([other], out, title="Twice", transcripts=0)
    assert {path.name for path in out.iterdir()} == {"index.html", *file_names("curve"), "notes.txt"}
    assert "have no difficulty" in first.read_text()
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_a_failure_leaves_the_older_report(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report"
    out.mkdir()
    (out / "index.html").write_text("older")

    def fail(*_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr("z1.report.plots.draw", lambda _: {})
    monkeypatch.setattr(page, "render", fail)
    with pytest.raises(OSError, match="no room"):
        report.write([folder], out, title="", transcripts=1)
    monkeypatch.setattr(page, "render", lambda *_: "newer")
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no room"):
        report.write([folder], out, title="", transcripts=1)
    assert [path.name for path in out.iterdir()] == ["index.html"]
    assert (out / "index.html").read_text() == "older"
    assert {path.name for path in tmp_path.iterdir()} == {"report", folder.name}


def test_wrong_arguments_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give 0 or more"):
        report.write([folder], tmp_path / "report", title="", transcripts=-1)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another path"):
        report.write([folder], tmp_path / "file", title="", transcripts=0)


def test_importing_is_light() -> None:
    code = "import sys, z1.report; sys.exit('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_in_a_browser_each_width_has_its_own_layout(folder: Path, other: Path, tmp_path: Path) -> None:
    written = report.write([folder, other], tmp_path / "report", title="Twice", transcripts=4)
    npm = os.environ.get("NPM_CLIENTS")  # make test-real: axe-core is there
    axe = (Path(npm) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8") if npm else None

    async def look() -> None:
        async with tab(written.as_uri(), tmp_path / "browser") as page:
            await page.wait("document.querySelectorAll('figure').length === 3")
            for width in (390, 1400):
                for dark in (False, True):
                    await page.look(width, 900, dark=dark)
                    shown = "[...document.querySelectorAll('figure svg')].filter(one => one.checkVisibility())"
                    kind = "narrow" if width == 390 else "wide"
                    assert await page.evaluate(f"{shown}.map(one => one.classList[0])") == [kind] * 3
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width
                    if axe:
                        assert await page.serious_faults(axe) == []

    asyncio.run(look())
