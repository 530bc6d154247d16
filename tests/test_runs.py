"""Run folders: finished work is never lost, partial work is never visible, other settings get another folder."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from z1 import runs
from z1.errors import UserError, Z1Error, from_os_error
from z1.runs import (
    Log,
    atomic_file,
    atomic_folder,
    hash_file,
    read_json,
    read_log,
    stage,
    write_json,
    write_lines,
    write_text,
)

LAW = settings(max_examples=60, deadline=None, derandomize=True)
VALUES = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=6) | st.integers(), max_size=2), max_size=6)
SETTINGS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.text("xy", max_size=2), max_size=3)


def as_it_is(value: Any) -> Any:
    return value


@contextmanager
def umask(mask: int) -> Iterator[None]:
    earlier = os.umask(mask)
    try:
        yield
    finally:
        os.umask(earlier)


# Logs


@given(values=VALUES, data=st.data())
@LAW
def test_a_log_cut_anywhere_keeps_its_complete_lines_and_accepts_more(
    values: list[dict[str, Any]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with Log(path) as log:
            log.add(values)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        kept = read_log(path, as_it_is)
        is_complete = cut and whole[cut : cut + 1] == b"\n"  # only the line end is missing
        assert kept == values[: whole[:cut].count(b"\n") + bool(is_complete)]
        with Log(path) as log:
            log.add(values[len(kept) :])
        assert path.read_bytes() == whole


def test_a_log_is_append_only(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for number in range(3):
        with Log(path) as log:
            before = path.read_bytes()
            log.add([{"n": number}, {"line": "one\ntwo\u2028three"}])
            assert path.read_bytes().startswith(before)
    assert [value.get("n") for value in read_log(path, as_it_is)] == [0, None, 1, None, 2, None]


class Full(FileIO):
    """A disk with room for half of what is written."""

    full = False

    def write(self, data: Any) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.full = True
        return super().write(bytes(data)[: len(data) // 2])


def test_a_failed_write_leaves_the_log_unchanged_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path) as log:
        log.add([{"n": 1}])
    before = path.read_bytes()
    monkeypatch.setattr(runs, "FileIO", Full)
    with Log(path) as log, pytest.raises(OSError, match="No space left") as caught:
        log.add([{"n": 2}, {"n": 3}])
    assert path.read_bytes() == before
    message = str(from_os_error(caught.value))
    assert str(path) in message
    assert "\n" not in message


def test_a_log_accepts_records_after_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    monkeypatch.setattr(runs, "FileIO", Full)
    with Log(path) as log:
        with pytest.raises(OSError, match="No space left"):
            log.add([{"n": 1}])
        assert isinstance(log._file, Full)
        log._file.full = False
        with pytest.raises(OSError, match="No space left"):
            log.add([{"n": 2}])
    monkeypatch.undo()
    with Log(path) as log:
        log.add([{"n": 3}])
    assert read_log(path, as_it_is) == [{"n": 3}]


def test_a_batch_with_an_invalid_record_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path) as log:
        with pytest.raises(TypeError):
            log.add([{"n": 1}, {"n": object()}])
        log.add([{"n": 2}])
    assert read_log(path, as_it_is) == [{"n": 2}]


def test_a_second_writer_is_refused_in_one_line_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"n": 1}\n{"torn', encoding="utf-8")
    with Log(path) as log:
        log.add([{"n": 2}])
        with pytest.raises(UserError, match="another process is writing it") as caught, Log(path):
            pass
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        log.add([{"n": 3}])
    with Log(path) as log:
        log.add([{"n": 4}])
    assert read_log(path, as_it_is) == [{"n": n} for n in (1, 2, 3, 4)]


def test_a_log_that_cannot_be_opened_releases_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.mkdir()
    broken = Log(path)
    with pytest.raises(IsADirectoryError), broken:
        pass
    path.rmdir()
    with Log(path) as log:
        log.add([{"n": 1}])
    assert read_log(path, as_it_is) == [{"n": 1}]


WRITER = """
import sys
from pathlib import Path
from z1.runs import Log

with Log(Path(sys.argv[1])) as log:
    for first in range(0, 100000, 3):
        log.add({"n": n, "much": "x" * 300000} for n in range(first, first + 3))
        print(first + 3, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("adds", [1, 4])
def test_a_kill_while_writing_neither_loses_nor_repeats_records(tmp_path: Path, adds: int) -> None:
    path = tmp_path / "log.jsonl"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=env) as writer:
        assert writer.stdout is not None
        finished = [int(writer.stdout.readline()) for _ in range(adds)][-1]
        writer.kill()
        finished = max([finished, *map(int, writer.stdout.read().split())])
    assert writer.returncode == -signal.SIGKILL
    kept = [value["n"] for value in read_log(path, as_it_is)]
    assert kept == list(range(len(kept)))
    assert len(kept) >= finished
    with Log(path) as log:
        log.add([{"n": len(kept)}])
    assert [value["n"] for value in read_log(path, as_it_is)] == list(range(len(kept) + 1))


# Reading


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.jsonl", as_it_is) == []


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff"], ids=["missing", "empty", "torn", "binary"])
def test_unreadable_json_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "stage.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"run the stage that writes it") as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(value=VALUES)
@LAW
def test_json_comes_back_as_it_was_written(value: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        write_json(Path(folder) / "deep" / "value.json", value)
        assert read_json(Path(folder) / "deep" / "value.json") == value


# Whole or not at all


@pytest.mark.parametrize("older", [None, "older"])
def test_a_failed_write_of_a_file_keeps_the_older_one(tmp_path: Path, older: str | None) -> None:
    path = tmp_path / "curve.json"
    if older is not None:
        path.write_text(older, encoding="utf-8")
    with suppress(ZeroDivisionError), atomic_file(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert path.exists() == (older is not None)
        raise ZeroDivisionError
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == ({path.name: older} if older else {})


def test_a_file_appears_at_the_end_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text("older", encoding="utf-8")
    with atomic_file(path) as temporary:
        temporary.write_text("newer", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "older"
    assert path.read_text(encoding="utf-8") == "newer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_value_that_is_no_json_keeps_the_older_file(tmp_path: Path) -> None:
    write_text(tmp_path / "rows.jsonl", "older")
    with pytest.raises(TypeError):
        write_lines(tmp_path / "rows.jsonl", [{"n": 1}, {"n": object()}])
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    assert (tmp_path / "rows.jsonl").read_text() == "older"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_are_those_that_a_new_file_and_folder_get(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        with atomic_file(tmp_path / "file") as temporary:
            temporary.write_text("x", encoding="utf-8")
        write_text(tmp_path / "text", "x")
        with atomic_folder(tmp_path / "folder"):
            pass
        (tmp_path / "usual").touch()
        (tmp_path / "usual folder").mkdir()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["file"] == modes["text"] == modes["usual"] == 0o666 & ~mask
    assert modes["folder"] == modes["usual folder"] == 0o777 & ~mask


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_a_folder_replaces_an_older_one_completely(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / name).write_text(name, encoding="utf-8")
            assert f"model/deep/{name}" not in tree(tmp_path)
        assert tree(tmp_path) == {f"model/deep/{name}": name}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("older", [False, True])
def test_a_failed_write_of_a_folder_keeps_the_older_one(tmp_path: Path, older: bool) -> None:
    if older:
        write_text(tmp_path / "model" / "weights", "older")
    before = tree(tmp_path)
    with suppress(ZeroDivisionError), atomic_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"] * older


def test_a_folder_that_cannot_be_renamed_keeps_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "model" / "weights", "older")
    replace = Path.replace

    def refusing(self: Path, target: Path) -> Path:
        if target.name == "model" and not self.name.endswith(".older"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refusing)
    with pytest.raises(PermissionError), atomic_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("newer", encoding="utf-8")
    assert tree(tmp_path) == {"model/weights": "older"}


# Stages


@given(one=SETTINGS, other=SETTINGS)
@LAW
def test_stages_share_a_folder_exactly_if_their_settings_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    with TemporaryDirectory() as run:
        folders = [stage(Path(run), "curate", values, {}).folder for values in (one, other)]
        assert (folders[0] == folders[1]) == (one == other)
        assert stage(Path(run), "curate", dict(reversed(one.items())), {}).folder == folders[0]
        assert all(folder.is_dir() for folder in folders)


def test_the_content_of_an_input_changes_the_folder_and_its_path_does_not(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_text(first, "one")
    before = stage(tmp_path, "train", {"seed": 1}, {"rows": first})
    write_text(second, "one")
    assert stage(tmp_path, "train", {"seed": 1}, {"rows": second}).folder == before.folder
    assert stage(tmp_path, "train", {"seed": 1}, {"other": first}).folder != before.folder
    assert stage(tmp_path, "evaluate", {"seed": 1}, {"rows": first}).folder != before.folder
    write_text(first, "two")
    assert stage(tmp_path, "train", {"seed": 1}, {"rows": first}).folder != before.folder


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="got no such file; run the previous stage first") as caught:
        stage(tmp_path, "train", {}, {"rows": tmp_path / "rows.jsonl"})
    assert str(tmp_path / "rows.jsonl") in str(caught.value)


def test_a_stage_is_done_once_it_has_finished(tmp_path: Path) -> None:
    made = stage(tmp_path, "curate", {"seed": 1}, {})
    write_text(made.folder / "rows.jsonl", "{}\n")
    assert not made.is_done
    with pytest.raises(Z1Error):
        made.results()
    made.finish({"rows": {"full": 3}})
    again = stage(tmp_path, "curate", {"seed": 1}, {})
    assert again.is_done
    assert again.results() == {"rows": {"full": 3}}
    assert not stage(tmp_path, "curate", {"seed": 2}, {}).is_done


def test_a_stage_records_its_provenance(tmp_path: Path) -> None:
    write_text(tmp_path / "rows.jsonl", "one")
    made = stage(tmp_path, "train", {"seed": 1}, {"rows": tmp_path / "rows.jsonl"})
    made.finish({})
    facts = read_json(made.folder / "stage.json")
    assert facts["settings"] == {"seed": 1}
    assert facts["inputs"] == {"rows": hash_file(tmp_path / "rows.jsonl")}
    assert {"z1", "python", "system", "finished"} <= set(facts)


FILES = st.dictionaries(st.text("ab1", min_size=1, max_size=3), st.text("ab12", max_size=3), max_size=3)


@given(one=FILES, other=FILES)
@example(one={"a": "1", "b": "2"}, other={"a": "1b2"})  # the same bytes end to end
@example(one={"a1": "2"}, other={"a": "12"})
@LAW
def test_folders_have_equal_hashes_exactly_if_names_and_contents_are_equal(
    one: dict[str, str], other: dict[str, str]
) -> None:
    with TemporaryDirectory() as folder:
        hashes = []
        for name, files in (("one", one), ("other", other)):
            (Path(folder) / name).mkdir()
            for file, content in files.items():
                write_text(Path(folder) / name / file, content)
            hashes.append(hash_file(Path(folder) / name))
        assert (hashes[0] == hashes[1]) == (one == other)
