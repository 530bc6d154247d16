"""Lines of JSON: any text is written and read back, and a file without a final line end is read whole."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from z1.errors import UserError
from z1.records import Problem
from z1.runs import Log, read_json, read_lines, read_log, stage, write_json, write_lines, write_text

LAW = settings(max_examples=60, deadline=None, derandomize=True)


def as_it_is(value: Any) -> Any:
    return value


ANY_TEXT = st.text(st.characters(codec=None), max_size=8)
"""Any text that Python can hold, with lone surrogates."""


@given(st.lists(st.dictionaries(ANY_TEXT, ANY_TEXT | st.lists(ANY_TEXT, max_size=2), max_size=3), max_size=4))
@example([{"a": "\ud83d", "\udc00": "x"}])
@LAW
def test_a_log_escapes_what_utf8_cannot_hold_and_reads_it_back(values: list[dict[str, Any]]) -> None:
    joined = json.loads(json.dumps(values))  # JSON reads two halves of a pair as the character they encode
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with Log(path) as log:
            log.add(values)
        path.read_bytes().decode()
        assert read_log(path, as_it_is) == joined
        write_lines(path, values)
        assert read_lines(path, as_it_is) == joined
        write_json(path, values)
        assert read_json(path) == joined


def test_text_that_utf8_cannot_hold_is_written_with_a_replacement(tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", "a\ud83db")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "a\ufffdb"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", "\n  \n"])
def test_a_file_is_read_whole_whatever_its_last_line_ends_with(tmp_path: Path, end: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + '{"n": 1}\n\n{"n": "é"}'.encode() + end.encode())
    assert read_lines(path, as_it_is) == [{"n": 1}, {"n": "é"}]


def test_a_file_that_was_cut_is_refused_and_a_log_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n{"n": 2')
    with pytest.raises(UserError, match="line 2"):
        read_lines(path, as_it_is)
    assert read_log(path, as_it_is) == [{"n": 1}]


def test_a_last_record_without_its_line_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}')
    assert read_log(path, as_it_is) == [{"n": 1}, {"n": 2}]
    with Log(path) as log:
        log.add([{"n": 3}])
    assert read_log(path, as_it_is) == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize(
    "line",
    [b"{", b"3", b"null", b"[1, 2]", b'"text"', b"\xff\xfe", b'{"id": "p1"}', b"{}", b'["id"]', b"[" * 100_000],
    ids=repr,
)
def test_a_broken_line_is_refused_with_file_and_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log.jsonl"
    good = json.dumps(Problem("p1", "What?", "7", "programs").as_json()).encode()
    path.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(UserError, match="line 2") as caught:
        read_lines(path, Problem.from_json)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "3", '"text"', "null", '{"results": []}', '{"results": {"rows": 3}}', "{}"]
)
def test_a_cut_or_mistyped_stage_file_is_named_in_a_line(content: str, tmp_path: Path) -> None:
    made = stage(tmp_path, "curate", {"n": 1}, {})
    made.finish({"rows": {"full": 3}})
    assert made.results(rows=dict) == {"rows": {"full": 3}}
    (made.folder / "stage.json").write_text(content)
    with pytest.raises(UserError, match=r"file .*stage\.json: got .*; delete it") as caught:
        made.results(rows=dict)
    assert "\n" not in str(caught.value)


def test_a_stage_belongs_to_one_process_until_it_is_done(tmp_path: Path) -> None:
    one, other = (stage(tmp_path, "train", {"n": 1}, {}) for _ in range(2))
    with one.claim() as has_work:
        assert has_work
        with pytest.raises(UserError, match=r"^stage .*: got another process is working on it; wait"), other.claim():
            pass
        with other.claim(is_main=False) as helps:
            assert helps
        one.finish({})
    with other.claim() as has_work:
        assert not has_work


def test_a_stage_is_released_when_its_process_fails(tmp_path: Path) -> None:
    made = stage(tmp_path, "train", {"n": 1}, {})
    with pytest.raises(KeyError), made.claim():
        raise KeyError
    with made.claim() as has_work:
        assert has_work
